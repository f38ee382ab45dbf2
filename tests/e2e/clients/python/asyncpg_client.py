"""asyncpg, which asks for the binary format wherever it can: `asyncpg_client.py PART URL` prints what it saw."""

import asyncio
import io
import re
import sys

import asyncpg


def show(value):
    # Some of its types have no form but their address.
    text = re.sub(" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) < 300 else f"{text[:100]}... {len(text)} characters, hash {sum(text.encode()) % 99991}"


async def fail(label, awaitable):
    try:
        await awaitable
        print(label, "no error")
    except asyncpg.PostgresError as error:
        print(label, type(error).__name__, error.sqlstate, error.message, error.detail, error.hint, getattr(error, "position", None))


async def transcript(conn):
    print(conn.get_server_version(), conn.get_settings().client_encoding)
    names = [a.name for a in (await conn.prepare("select * from zoo")).get_attributes()]
    for name in names:
        statement = await conn.prepare(f'select "{name}" from zoo order by id')
        kind = statement.get_attributes()[0].type
        try:
            print(name, kind.name, kind.oid, show([row[0] for row in await statement.fetch()]))
        except Exception as error:
            print(name, kind.name, type(error).__name__, error)
    print(show(await conn.fetch("select * from wide")))
    print(show(await conn.fetch("select * from nothing")))
    print(show(await conn.fetchval("select $1::text", "x" * 1_000_000)))
    print(await conn.fetchval("select $1::int[]", [1, None, 3]))
    print(await conn.execute("update plain set word = word where id < 5"))
    print(await conn.execute("select 1; select 2"))
    async with conn.transaction():
        cursor = await conn.cursor("select id from plain order by id")
        print(await cursor.fetch(3), await cursor.forward(100), await cursor.fetchrow())
        print(sum([row[0] async for row in conn.cursor("select id from plain", prefetch=13)]))
        try:
            async with conn.transaction():
                await conn.execute("select 1/0")
        except asyncpg.DivisionByZeroError as error:
            print(error.sqlstate, conn.is_in_transaction())
        print(await conn.fetchval("select 2"))
    await fail("position", conn.fetch("select nothing_there from zoo"))
    await fail("detail", conn.execute("insert into plain values (1, 'again')"))
    conn.add_log_listener(lambda _, message: print("notice", message.severity, message.message, message.detail))
    print(await conn.fetchval("select speak('words')"))
    heard = asyncio.get_running_loop().create_future()
    await conn.add_listener("channel", lambda _c, _p, channel, payload: heard.done() or heard.set_result((channel, payload)))
    await conn.execute("select pg_notify('channel', 'payload')")
    print(await asyncio.wait_for(heard, 10))
    await conn.execute("create temp table target (id int, word text)")
    print(await conn.copy_records_to_table("target", records=[(i, f"word {i}") for i in range(1000)]))
    out = io.BytesIO()
    print(await conn.copy_from_query("select * from target order by id", output=out, format="binary"))
    print(len(out.getvalue()), sum(out.getvalue()) % 99991)
    out.seek(0)
    print(await conn.copy_to_table("target", source=out, format="binary"))
    await conn.executemany("insert into target values ($1, $2)", [(i, "many") for i in range(100)])
    print(await conn.fetchval("select count(*) from target"))
    for _ in range(3):
        print(await conn.fetchrow("select id, word from plain where id = $1", 3))
    try:
        await conn.fetchval("select pg_sleep(30)", timeout=0.3)
    except (TimeoutError, asyncio.TimeoutError):
        print("cancelled at its timeout")
    print(await conn.fetchval("select 'goes on'"))


async def masked(conn):
    conn.add_log_listener(lambda _, message: print("notice", message.message, message.detail))
    for _ in range(3):
        print([tuple(row) for row in await conn.fetch("select * from customers order by id")])
        print(tuple(await conn.fetchrow("select email as a, card_number as b, ssn as c from customers where id = $1", 1)))
    async with conn.transaction():
        print("cursor", [tuple(row) async for row in conn.cursor("select email, card_number, ssn from customers", prefetch=1)])
    for options in ({"format": "text"}, {"format": "csv"}, {"format": "binary"}):
        out = io.BytesIO()
        await conn.copy_from_table("customers", output=out, **options)
        print("copy", options, out.getvalue())
    await conn.execute("select loud(email || ' ' || card_number) from customers")
    await fail("detail", conn.execute("insert into customers select 9, name, email, card_number from customers where id = 1"))
    print(await conn.fetchval("select array_agg(email) from customers"), await conn.fetchval("select jsonb_agg(customers) from customers"))
    print("end")


async def main(part, url):
    conn = await asyncpg.connect(url)
    try:
        await {"transcript": transcript, "masked": masked}[part](conn)
    finally:
        await conn.close()


asyncio.run(main(*sys.argv[1:]))
