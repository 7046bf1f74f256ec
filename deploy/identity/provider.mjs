// An OpenID Connect provider on the loopback interface, for development and tests: accounts without passwords.
// It reads one JSON object from its standard input, and ends when that is closed.
//   issuer, port: where it listens; keys: private JWKs that sign; clients: as oidc-provider takes them
//   accounts: claims by subject; audience: of access tokens, which are JSON Web Tokens
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const { issuer, port, keys, clients, accounts, audience } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
process.stdin.on('end', () => process.exit(0));

const claimsOf = (id) => ({ sub: id, ...accounts[id] });

const provider = new Provider(issuer, {
  clients,
  jwks: { keys },
  cookies: { keys: ['development'] },
  claims: { openid: ['sub'], profile: ['name', 'roles', 'cohorts'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => (id in accounts ? { accountId: id, claims: () => claimsOf(id) } : undefined),
  extraTokenClaims: (_, token) => {
    const { roles, cohorts } = accounts[token.accountId ?? token.clientId] ?? {};
    return { ...(roles && { roles }), ...(cohorts && { cohorts }), ...(token.accountId ? {} : { sub: token.clientId }) };
  },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600, Session: 3600, Interaction: 600, Grant: 3600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ audience, scope: '', accessTokenFormat: 'jwt', accessTokenTTL: 600 }),
    },
  },
});

provider.listen(port, '127.0.0.1', () => console.log('ready'));
