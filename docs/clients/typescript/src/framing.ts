/** Undertone's values: Avro single-object encoding, or with SCHEMA_REGISTRY_URL the registry's framing. */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'

const EMPTY = 0xc15d213aa4d7a795n
const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let sum = BigInt(byte)
  for (let bit = 0; bit < 8; bit++) sum = (sum >> 1n) ^ (EMPTY & -(sum & 1n))
  return sum
})

/** The ten bytes before a body: C3 01 and the schema's CRC-64-AVRO, lowest byte first (Avro 1.12, "Schema Fingerprints"). */
export function frameOf(type: avro.Type): Buffer {
  let sum = EMPTY
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) sum = (sum >> 8n) ^ TABLE[Number((sum ^ BigInt(byte)) & 0xffn)]!
  const frame = Buffer.from([0xc3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0])
  frame.writeBigUInt64LE(sum, 2)
  return frame
}

/** The framing of one record type. */
export class Framing {
  readonly #text: string
  readonly #type: avro.Type
  readonly #released = new Map<string, Reader>()
  readonly #written = new Map<number, Reader>()
  readonly #ids = new Map<string, number>()
  readonly #registry = process.env.SCHEMA_REGISTRY_URL

  /** schemas: the folder `schemas/avro`; name: the record's file in it, such as `risk_alert`. */
  constructor(schemas: string, name: string) {
    this.#text = readFileSync(join(schemas, `${name}.avsc`), 'utf8')
    this.#type = typeOf(this.#text)
    const history = join(schemas, 'history')
    for (const file of readdirSync(history).filter((each) => each.startsWith(`${name}.`) && each.endsWith('.avsc'))) {
      const writer = typeOf(readFileSync(join(history, file), 'utf8'))
      this.#released.set(frameOf(writer).toString('hex'), this.#reader(writer))
    }
  }

  /** The value of a record on `topic`. */
  async encode(record: object, topic: string): Promise<Buffer> {
    const body = this.#type.toBuffer(record)
    if (!this.#registry) return Buffer.concat([frameOf(this.#type), body])
    const frame = Buffer.alloc(5)
    frame.writeUInt32BE(await this.#idOf(`${topic}-value`), 1)
    return Buffer.concat([frame, body])
  }

  /** The record in a value of either framing, as the newest schema has it. */
  async decode(value: Buffer): Promise<Record<string, unknown>> {
    if (value[0] === 0) return (await this.#byId(value.readUInt32BE(1)))(value.subarray(5))
    const frame = value.subarray(0, 10).toString('hex')
    const read = this.#released.get(frame)
    if (!read) throw new Error(`${frame} begins no version in schemas/avro/history`)
    return read(value.subarray(10))
  }

  #reader(writer: avro.Type): Reader {
    const resolver = this.#type.createResolver(writer)
    return (body) => this.#type.fromBuffer(body, resolver) as Record<string, unknown>
  }

  async #idOf(subject: string): Promise<number> {
    const known = this.#ids.get(subject)
    if (known !== undefined) return known
    const answer = await this.#ask(`/subjects/${subject}/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      body: JSON.stringify({ schema: this.#text })
    })
    const id = answer.id as number
    this.#ids.set(subject, id)
    return id
  }

  async #byId(id: number): Promise<Reader> {
    const known = this.#written.get(id)
    if (known) return known
    const answer = await this.#ask(`/schemas/ids/${id}`)
    const read = this.#reader(typeOf(answer.schema as string))
    this.#written.set(id, read)
    return read
  }

  async #ask(path: string, request?: RequestInit): Promise<Record<string, unknown>> {
    if (!this.#registry) throw new Error("a value with a registry's framing: set SCHEMA_REGISTRY_URL")
    const response = await fetch(this.#registry + path, request)
    if (!response.ok) throw new Error(`the schema registry answers ${response.status}`)
    return (await response.json()) as Record<string, unknown>
  }
}

type Reader = (body: Buffer) => Record<string, unknown>

function typeOf(text: string): avro.Type {
  return avro.Type.forSchema(JSON.parse(text))
}
