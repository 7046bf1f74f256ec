/** Publishes one memo: SCHEMAS USER AUDIO_URI RECORDED_AT, the last in RFC 3339. Prints the memo's id. */

import { randomUUID } from 'node:crypto'
import { ProduceAcks, Producer, compatibilityPartitioner } from '@platformatic/kafka'
import { Framing } from './framing.js'

const [schemas, user, uri, recorded] = process.argv.slice(2)
if (!schemas || !user || !uri || !recorded) throw new Error('give SCHEMAS USER AUDIO_URI RECORDED_AT')
const memo = {
  memo_id: randomUUID(), // keep it: a memo that is sent again has the same id
  user_id: user, // a pseudonym
  recorded_at: Date.parse(recorded),
  uploaded_at: Date.now(),
  audio_uri: uri,
  sha256: null,
  language: null
}
const producer = new Producer({
  clientId: 'memos',
  bootstrapBrokers: (process.env.KAFKA_BOOTSTRAP ?? '').split(','),
  partitioner: compatibilityPartitioner // Kafka's own; this library's default puts users on other partitions
})
const value = await new Framing(schemas, 'memo_uploaded').encode(memo, 'memos.uploaded')
const message = { topic: 'memos.uploaded', key: Buffer.from(user), value } // the key is the pseudonym
await producer.send({ messages: [message], acks: ProduceAcks.ALL })
await producer.close()
console.log(memo.memo_id)
