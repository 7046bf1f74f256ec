/** Prints every alert once, as JSON lines: SCHEMAS GROUP. Runs until it is ended. */

import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } from '@platformatic/kafka'
import { Framing } from './framing.js'

const [schemas, group] = process.argv.slice(2)
if (!schemas || !group) throw new Error('give SCHEMAS GROUP')
const framing = new Framing(schemas, 'risk_alert')
const consumer = new Consumer({
  clientId: 'care-team',
  groupId: group,
  bootstrapBrokers: (process.env.KAFKA_BOOTSTRAP ?? '').split(',')
})
const messages = await consumer.consume({
  topics: ['risk.alerts'],
  autocommit: false,
  mode: MessagesStreamModes.COMMITTED,
  fallbackMode: MessagesStreamFallbackModes.EARLIEST
})
const seen = new Set<unknown>() // use a database if it must survive a restart
for await (const message of messages) {
  const alert = await framing.decode(message.value)
  if (!seen.has(alert.alert_id)) {
    console.log(JSON.stringify(alert)) // notify your recipients
    seen.add(alert.alert_id)
  }
  await message.commit() // only after the notification
}
