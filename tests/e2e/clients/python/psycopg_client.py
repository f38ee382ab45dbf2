"""psycopg 3: `psycopg_client.py PART URL` prints what it saw, the same through a gateway as without one."""

import asyncio
import contextlib
import io
import sys

import psycopg
from psycopg import ClientCursor, RawCursor, ServerCursor


def show(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:100]}... {len(text)} characters, hash {sum(text.encode()) % 99991}"


def fail(label, call):
    try:
        call()
        print(label, "no error")
    except psycopg.Error as error:
        d = error.diag
        print(label, type(error).__name__, d.sqlstate, d.message_primary, d.message_detail, d.message_hint, d.statement_position)


def zoo(url):
    with psycopg.connect(url, autocommit=True) as conn:
        names = [d.name for d in conn.execute("select * from zoo limit 0").description]
        for name in names:
            for binary in (False, True):
                with conn.cursor(binary=binary) as cur:
                    try:
                        cur.execute(f'select id, "{name}" from zoo order by id')
                        column = cur.description[1]
                        print(name, "binary" if binary else "text", column.type_code, column.internal_size, column.precision, column.scale)
                        result = cur.pgresult
                        for row in range(result.ntuples):
                            print("  raw", show(result.get_value(row, 1)))
                    except psycopg.Error as error:
                        print(name, "binary" if binary else "text", error.sqlstate, error)
                        continue
        print(show(conn.execute("select * from wide").fetchall()))
        result = conn.execute("select * from nothing").pgresult
        print("no columns", result.nfields, result.ntuples)
        print(show(conn.execute("select").fetchall()))
        print(show(conn.execute("select %s::text, %s::bytea, %s::int[]", ["", b"\x00\xff", [1, None]]).fetchone()))
        print(show(conn.execute("select %b::int4, %b::float8, %b::text", [1, 1.5, "x" * 1_000_000]).fetchone()))
        cur = conn.execute("update plain set word = word where id <= 7 returning id")
        print(cur.statusmessage, cur.rowcount, cur.fetchall())
        for encoding in ("LATIN1", "SQL_ASCII", "EUC_JP", "SJIS", "WIN1252"):
            conn.execute(f"set client_encoding to '{encoding}'")
            raw = conn.execute("select letters from zoo where id = 1").pgresult.get_value(0, 0)
            print(encoding, conn.info.parameter_status("client_encoding"), raw)
            fail(encoding, lambda: conn.execute(b"select letters from zoo where id = 4").fetchall())


def transactions(url):
    with psycopg.connect(url) as conn:
        status = lambda: conn.info.transaction_status.name
        print(status())
        conn.execute("select 1")
        print(status())
        fail("division", lambda: conn.execute("select 1/0"))
        print(status())
        fail("aborted", lambda: conn.execute("select 1"))
        conn.rollback()
        print(status())
        with conn.transaction():
            with contextlib.suppress(psycopg.Error):
                with conn.transaction():
                    conn.execute("selec 1")
            print("savepoint", conn.execute("select 2").fetchone(), status())
        conn.commit()
        fail("position", lambda: conn.execute("select nothing_there from zoo"))
        conn.rollback()
        fail("detail", lambda: conn.execute("insert into plain values (1, 'again')"))
        conn.rollback()
        conn.add_notice_handler(lambda d: print("notice", d.severity, d.sqlstate, d.message_primary, d.message_detail, d.message_hint))
        print(conn.execute("select speak('words')").fetchone())
        conn.rollback()
        conn.autocommit = True
        conn.execute("call commit_twice()")
        print(conn.execute("select 1; select 'two'; select 3 where false").fetchall())
        fail("half of two", lambda: conn.execute("select 1; select 1/0; select 3"))
        conn.execute("listen channel")
        conn.execute("notify channel, 'payload'")
        for note in conn.notifies(timeout=10, stop_after=1):
            print("notify", note.channel, note.payload)
        print(conn.execute("show server_version").fetchone(), conn.info.parameter_status("integer_datetimes"), conn.info.encoding)


def pipeline(url):
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("create temp table p (id int primary key)")
        with conn.pipeline():
            cursors = [conn.execute("insert into p values (%s) returning id", [i]) for i in range(20)]
            print([c.fetchone() for c in cursors])
        try:
            with conn.pipeline() as pipe:
                conn.execute("insert into p values (100)")
                conn.execute("insert into p values (1)")
                conn.execute("insert into p values (101)")
                pipe.sync()
        except psycopg.Error as error:
            print(type(error).__name__, error.sqlstate, error.diag.message_detail)
        print(conn.execute("select count(*), max(id) from p").fetchone(), conn.info.transaction_status.name)
        cur = conn.cursor()
        cur.executemany("insert into p values (%s) returning id", [(i,) for i in range(200, 210)], returning=True)
        ids = []
        while True:
            ids.append(cur.fetchone()[0])
            if not cur.nextset():
                break
        print(ids)
        for _ in range(8):  # prepared at the sixth
            row = conn.execute("select id from p where id = %s", [5]).fetchone()
        print(row)
        print(conn.execute("select statement, parameter_types from pg_prepared_statements where from_sql is false order by 1 desc limit 1").fetchone() is not None)


def copy(url):
    with psycopg.connect(url, autocommit=True) as conn:
        for options in ("", "(format csv, header)", "(format binary)", "(delimiter '|', null 'none')"):
            with conn.cursor().copy(f"copy (select * from zoo order by id) to stdout {options}") as out:
                data = b"".join(bytes(block) for block in out)
            print("out", options, len(data), sum(data) % 99991)
        conn.execute("create temp table c (like zoo)")
        for options in ("", "(format csv)", "(format binary)"):
            conn.execute("truncate c")
            with conn.cursor().copy(f"copy zoo to stdout {options}") as out:
                blocks = [bytes(block) for block in out]
            with conn.cursor() as cur:
                with cur.copy(f"copy c from stdin {options}") as into:
                    for block in blocks:
                        into.write(block)
                print("in", options, cur.rowcount, conn.execute("select count(*), md5(string_agg(c::text, '' order by id)) from c").fetchone())
        with conn.cursor().copy("copy plain to stdout") as out:
            print(list(out.rows())[:3])
        def broken():
            with conn.cursor().copy("copy plain from stdin") as into:
                into.write(b"not a number\tx\n")
        fail("copy in", broken)
        def stopped():
            with conn.cursor().copy("copy plain from stdin") as into:
                raise psycopg.DataError("changed my mind")
        with contextlib.suppress(psycopg.Error):
            stopped()
        print(conn.info.transaction_status.name, conn.execute("select count(*) from plain").fetchone())


def cursors(url):
    with psycopg.connect(url) as conn:
        with ServerCursor(conn, "one") as cur:
            cur.itersize = 100
            cur.execute("select id, word from plain order by id")
            print(cur.fetchone(), cur.fetchmany(3), sum(1 for _ in cur))
        with ServerCursor(conn, "two", scrollable=True, withhold=True) as cur:
            cur.execute("select id from plain order by id")
            cur.scroll(500)
            print(cur.fetchone())
            cur.scroll(-2)
            print(cur.fetchone())
        with ClientCursor(conn) as cur:
            print(cur.execute("select %s, %s", ["it's", 1]).fetchone())
        with RawCursor(conn) as cur:
            print(cur.execute("select $1::int + $2::int", [1, 2]).fetchone())
        print([len(rows) for rows in [conn.cursor().stream("select * from plain limit 10")] for rows in [list(rows)]])
        print("large objects", conn.execute("select lo_from_bytea(0, %b) > 0", [b"x" * 100_000]).fetchone())
        conn.rollback()


def asynchronous(url):
    async def run():
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            async with conn.cursor() as cur:
                await cur.execute("select id, word from plain order by id limit 5")
                print([row async for row in cur])
            async with conn.pipeline():
                cursors = [await conn.execute("select %s::int", [i]) for i in range(5)]
                print([await c.fetchone() for c in cursors])
            task = asyncio.create_task(conn.execute("select pg_sleep(30)"))
            await conn.wait_ready() if hasattr(conn, "wait_ready") else None
            other = await psycopg.AsyncConnection.connect(url, autocommit=True)
            async with other:
                while not await (await other.execute("select 1 from pg_stat_activity where pid = %s and query like '%%pg_sleep%%' and state = 'active'", [conn.info.backend_pid])).fetchone():
                    pass
            await conn.cancel_safe()
            try:
                await task
            except psycopg.errors.QueryCanceled as error:
                print("cancelled", error.sqlstate, error.diag.message_primary)
            print(await (await conn.execute("select 'goes on'")).fetchone())
    asyncio.run(run())


def masked(url):
    """Every way in which a value can come back."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.add_notice_handler(lambda d: print("notice", d.message_primary, d.message_detail))
        for binary in (False, True):
            with conn.cursor(binary=binary) as cur:
                print(binary, cur.execute("select * from customers order by id").fetchall())
                print(binary, cur.execute("select email as a, card_number as b, ssn as c from customers where id = %s", [1]).fetchall())
        for _ in range(8):
            row = conn.execute("select email from customers where id = %s", [1]).fetchone()
        print("prepared", row)
        for binary in (False, True):
            with conn.transaction(), ServerCursor(conn, "c") as cur:
                cur.execute("select email, card_number from customers order by id", binary=binary)
                print("cursor", cur.fetchone(), cur.fetchall())
        for options in ("", "(format csv)", "(format binary)"):
            with conn.cursor().copy(f"copy customers to stdout {options}") as out:
                print("copy", options, b"".join(bytes(block) for block in out))
        print("returning", conn.execute("update customers set name = name returning email, card_number").fetchall())
        fail("detail", lambda: conn.execute("insert into customers select 9, name, email, card_number from customers where id = 1"))
        fail("primary", lambda: conn.execute("select email::int from customers"))
        conn.execute("select loud(email || ' ' || card_number) from customers")
        conn.execute("listen channel")
        conn.execute("select pg_notify('channel', email) from customers where id = 1")
        for note in conn.notifies(timeout=10, stop_after=1):
            print("notify", note.payload)
        print("array", conn.execute("select array_agg(email) from customers").fetchone())
        print("json", conn.execute("select json_agg(customers) from customers").fetchone())
        with conn.cursor(binary=True) as cur:
            print("binary array", cur.execute("select array_agg(email) from customers").fetchone())
            print("binary jsonb", cur.execute("select jsonb_agg(customers) from customers").fetchone())
        print("end")


def denied(url):
    """A refused statement; `drop table customers` is refused by the rule."""
    with psycopg.connect(url, autocommit=True) as conn:
        fail("alone", lambda: conn.execute("drop table customers"))
        print("goes on", conn.execute("select 1").fetchone(), conn.info.transaction_status.name)
        fail("parameters", lambda: conn.execute("drop table customers", prepare=True))
        conn.execute("begin")
        conn.execute("insert into log (line) values ('in a transaction')")
        fail("in a transaction", lambda: conn.execute("drop table customers"))
        print(conn.info.transaction_status.name)
        fail("after it", lambda: conn.execute("select 1"))
        conn.execute("rollback")
        try:
            with conn.pipeline() as pipe:
                conn.execute("insert into log (line) values ('before')")
                conn.execute("drop table customers")
                conn.execute("insert into log (line) values ('after')")
                pipe.sync()
        except psycopg.Error as error:
            print("pipeline", error.sqlstate, error.diag.message_primary)
        print("lines", conn.execute("select line from log order by id").fetchall(), conn.info.transaction_status.name)
        fail("of two", lambda: conn.execute("insert into log (line) values ('of two'); drop table customers"))
        print("lines", conn.execute("select line from log order by id").fetchall())
        print("customers", conn.execute("select count(*) from customers").fetchone())


PARTS = {
    "transcript": [zoo, transactions, pipeline, copy, cursors, asynchronous],
    "masked": [masked],
    "denied": [denied],
}

if __name__ == "__main__":
    for part in PARTS[sys.argv[1]]:
        print("==", part.__name__)
        part(sys.argv[2])
