"""Statements that somebody must agree to, in psycopg's extended protocol: `review_client.py PART URL`."""

import sys

import psycopg


def pipeline(connection):
    """In a pipeline and in a transaction nothing overtakes the statement that waits."""
    with connection.pipeline(), connection.transaction():
        connection.execute("insert into t values (%s)", (7,))
        gone = connection.execute("delete from t where a = %s returning a", (1,))
        left = connection.execute("select a from t order by a")
        print("gone", gone.fetchall(), "left", left.fetchall())
    print("status", connection.info.transaction_status.name)


def refused(connection):
    """A refused one fails as others do, and a savepoint saves the rest."""
    with connection.transaction():
        connection.execute("insert into t values (%s)", (8,))
        try:
            with connection.transaction():
                connection.execute("delete from t where a = %s", (2,))
        except psycopg.errors.InsufficientPrivilege as error:
            print("refused", error.sqlstate, error.diag.message_primary)
        connection.execute("insert into t values (%s)", (9,))
    print("left", connection.execute("select a from t order by a").fetchall())


def around(connection):
    """What was prepared is not run by its name in SQL, and a portal that was refused is not run later."""
    statement = b"delete from t where a = 2 returning a"
    raw = connection.pgconn
    raw.prepare(b"s", statement)
    for text in ["execute s", "prepare p as delete from t", "fetch all from c", "explain analyze execute s"]:
        try:
            connection.execute(text)
            print("ran", text)
        except psycopg.errors.InsufficientPrivilege as error:
            print("refused", error.diag.message_primary)
    print("left", connection.execute("select count(*) from t where a = 2").fetchall())


if __name__ == "__main__":
    part, url = sys.argv[1:]
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as opened:
        {f.__name__: f for f in (pipeline, refused, around)}[part](opened)
