// node-postgres: `node client.cjs PART URL` prints what it saw.
'use strict'
const { Client } = require('pg')
const { from, to } = require('pg-copy-streams')
const { pipeline } = require('node:stream/promises')
const { Readable, Writable } = require('node:stream')

const show = (value) => {
  const text = JSON.stringify(value)
  if (text === undefined || text.length < 300) return text
  let hash = 0
  for (const byte of Buffer.from(text)) hash = (hash * 31 + byte) % 1000003
  return `${text.slice(0, 100)}... ${text.length} characters, hash ${hash}`
}
const print = (...values) => console.log(...values.map((v) => (typeof v === 'string' ? v : show(v))))
const fail = async (label, promise) => {
  try {
    await promise
    print(label, 'no error')
  } catch (e) {
    print(label, e.severity, e.code, e.message, e.detail ?? '-', e.hint ?? '-', e.position ?? '-')
  }
}

async function transcript (client) {
  client.on('notice', (n) => print('notice', n.severity, n.message, n.detail ?? '-', n.hint ?? '-'))
  const all = await client.query('select * from zoo order by id')
  print(all.fields.map((f) => [f.name, f.dataTypeID, f.columnID, f.dataTypeSize, f.dataTypeModifier, f.format]))
  for (const row of all.rows) for (const [name, value] of Object.entries(row)) print(name, value)
  const binary = await client.query({ text: 'select id, small, letters from zoo order by id', binary: true })
  print(binary.rows)
  print((await client.query('select * from wide')).rows)
  print((await client.query('select * from nothing')).rowCount)
  for (let i = 0; i < 3; i++) print((await client.query({ name: 'by-id', text: 'select word from plain where id = $1', values: [i + 1] })).rows)
  print((await client.query('select $1::text as t, $2::int[] as i, $3::jsonb as j, $4::bytea as b', ['', [1, null], { a: 1 }, Buffer.from([0, 255])])).rows)
  print((await client.query({ text: 'select length($1::text) as l', values: ['x'.repeat(1000000)] })).rows)
  print((await client.query('select 1 as a; select 2 as b; update plain set word = word where id < 3')).map((r) => [r.command, r.rowCount, r.rows]))
  print((await client.query({ text: 'select 1 as a, 2 as a', rowMode: 'array' })).rows)
  await fail('division', client.query('select 1/0'))
  await fail('position', client.query('select nothing_there from zoo'))
  await fail('detail', client.query("insert into plain values ($1, 'again')", [1]))
  await client.query('begin')
  await fail('in a transaction', client.query('selec 1'))
  await fail('aborted', client.query('select 1'))
  print((await client.query('rollback')).command)
  print((await client.query("select speak('words')")).rows)
  const heard = new Promise((resolve) => client.once('notification', resolve))
  await client.query('listen channel')
  await client.query("notify channel, 'payload'")
  const note = await heard
  print(note.channel, note.payload)
  await client.query('create temp table target (id int, word text)')
  await pipeline(Readable.from(Array.from({ length: 1000 }, (_, i) => `${i}\tword ${i}\n`)), client.query(from('copy target from stdin')))
  const blocks = []
  await pipeline(client.query(to('copy (select * from target order by id) to stdout (format csv)')), new Writable({ write (b, _, done) { blocks.push(b); done() } }))
  print(Buffer.concat(blocks).toString())
  await fail('copy in', pipeline(Readable.from(['x\ty\n']), client.query(from('copy target from stdin'))))
  // Queued without waiting.
  print(await Promise.all(Array.from({ length: 20 }, (_, i) => client.query('select $1::int as i', [i]).then((r) => r.rows[0].i))))
}

async function masked (client) {
  client.on('notice', (n) => print('notice', n.message))
  for (const binary of [false, true]) print((await client.query({ text: 'select id, name, email, card_number, ssn, notes from customers order by id', binary })).rows)
  for (let i = 0; i < 3; i++) print((await client.query({ name: 'again', text: 'select email as a, card_number as b, ssn as c from customers where id = $1', values: [1] })).rows)
  const blocks = []
  await pipeline(client.query(to('copy customers to stdout')), new Writable({ write (b, _, done) { blocks.push(b); done() } }))
  print(Buffer.concat(blocks).toString())
  await client.query("select loud(email || ' ' || card_number) from customers")
  await fail('detail', client.query('insert into customers select 9, name, email, card_number from customers where id = 1'))
  print('end')
}

async function main ([part, url]) {
  const client = new Client({ connectionString: url })
  await client.connect()
  await { transcript, masked }[part](client)
  await client.end()
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1) })
