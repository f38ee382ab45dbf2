// pgx: `go-client PART URL` prints what it saw.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var ctx = context.Background()

func main() {
	part, url := os.Args[1], os.Args[2]
	modes := []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}
	for _, mode := range modes {
		config, err := pgx.ParseConfig(url)
		must(err)
		config.DefaultQueryExecMode = mode
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { fmt.Println("notice", n.Severity, n.Message, n.Detail, n.Hint) }
		conn, err := pgx.ConnectConfig(ctx, config)
		must(err)
		fmt.Println("==", mode)
		switch part {
		case "transcript":
			transcript(conn)
		case "masked":
			masked(conn)
		case "denied":
			denied(conn)
		}
		must(conn.Close(ctx))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(value []byte) string {
	if value == nil {
		return "NULL"
	}
	if len(value) < 200 {
		return fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%d bytes, crc %x", len(value), crc32.ChecksumIEEE(value))
}

// The cells as they came over the wire.
func query(conn *pgx.Conn, sql string, arguments ...any) {
	rows, err := conn.Query(ctx, sql, arguments...)
	if err == nil {
		for rows.Next() {
			for i, cell := range rows.RawValues() {
				f := rows.FieldDescriptions()[i]
				fmt.Print(f.Name, " ", f.DataTypeOID, " ", f.Format, " ", show(cell), " | ")
			}
			fmt.Println()
		}
		err = rows.Err()
		fmt.Println(rows.CommandTag())
	}
	report(sql, err)
}

func report(label string, err error) {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		fmt.Println(label, e.Severity, e.Code, e.Message, e.Detail, e.Hint, e.Position)
	} else if err != nil {
		fmt.Println(label, err)
	}
}

func transcript(conn *pgx.Conn) {
	for i := 0; i < 2; i++ {
		query(conn, "select * from zoo order by id")
		query(conn, "select id, word from plain where id = $1", 3)
	}
	query(conn, "select * from wide")
	query(conn, "select * from nothing")
	query(conn, "select $1::text, $2::bytea", strings.Repeat("x", 1000000), []byte{0, 255})
	query(conn, "select 1/0")
	query(conn, "select nothing_there from zoo")
	query(conn, "insert into plain values (1, 'again')")
	query(conn, "select speak('words')")

	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "create temp table target (id int primary key, word text) on commit drop")
	must(err)
	count, err := tx.CopyFrom(ctx, pgx.Identifier{"target"}, []string{"id", "word"}, pgx.CopyFromSlice(1000, func(i int) ([]any, error) {
		return []any{int32(i), fmt.Sprint("word ", i)}, nil
	}))
	fmt.Println("copied", count, err)
	batch := &pgx.Batch{}
	for i := 0; i < 20; i++ {
		batch.Queue("select word from target where id = $1", i)
	}
	results := tx.SendBatch(ctx, batch)
	for i := 0; i < 20; i++ {
		var word string
		must(results.QueryRow().Scan(&word))
		fmt.Print(word, ", ")
	}
	fmt.Println(results.Close())
	_, err = tx.Exec(ctx, "select 1/0")
	report("in a transaction", err)
	fmt.Printf("%c\n", conn.PgConn().TxStatus())
	fmt.Println(tx.Rollback(ctx))

	batch = &pgx.Batch{}
	batch.Queue("select 1")
	batch.Queue("select 1/0")
	batch.Queue("select 3")
	report("batch", conn.SendBatch(ctx, batch).Close())

	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(ctx, &out, "copy (select * from zoo order by id) to stdout (format binary)")
	fmt.Println(tag, err, show(out.Bytes()))
	results2, err := conn.PgConn().Exec(ctx, "select 1; select 'two'").ReadAll()
	fmt.Println(len(results2), err)

	_, err = conn.Exec(ctx, "listen channel")
	must(err)
	_, err = conn.Exec(ctx, "notify channel, 'payload'")
	must(err)
	note, err := conn.WaitForNotification(ctx)
	must(err)
	fmt.Println(note.Channel, note.Payload)
	if conn.Config().DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol {
		pipelined(conn)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	other, err := pgx.ConnectConfig(ctx, conn.Config())
	must(err)
	_, err = other.Exec(short, "select pg_sleep(30)")
	fmt.Println("cancelled", errors.Is(err, context.DeadlineExceeded))
}

func pipelined(conn *pgx.Conn) {
	p := conn.PgConn().StartPipeline(ctx)
	p.SendPrepare("one", "select $1::int + 1", nil)
	p.SendQueryPrepared("one", [][]byte{[]byte("41")}, nil, nil)
	must(p.Sync())
	p.SendQueryParams("select 1/0", nil, nil, nil, nil)
	p.SendQueryParams("select 2", nil, nil, nil, nil)
	must(p.Sync())
	p.SendDeallocate("one")
	p.SendQueryParams("select 3", nil, nil, nil, nil)
	must(p.Sync())
	for {
		results, err := p.GetResults()
		if results == nil && err == nil {
			break
		}
		switch r := results.(type) {
		case *pgconn.ResultReader:
			read := r.Read()
			fmt.Println("rows", len(read.Rows), read.CommandTag, read.Err)
		case *pgconn.PipelineSync:
			fmt.Println("sync")
		default:
			fmt.Printf("%T\n", r)
		}
		report("pipeline", err)
	}
	fmt.Println(p.Close())
}

func masked(conn *pgx.Conn) {
	for i := 0; i < 3; i++ {
		query(conn, "select * from customers order by id")
		query(conn, "select email as a, card_number as b, ssn as c from customers where id = $1", 1)
	}
	query(conn, "select loud(email || ' ' || card_number) from customers")
	query(conn, "insert into customers select 9, name, email, card_number from customers where id = 1")
	fmt.Println("end")
}

func denied(conn *pgx.Conn) {
	lines := func() {
		var count int
		must(conn.QueryRow(ctx, "select count(*) from log").Scan(&count))
		fmt.Printf("lines %d %c\n", count, conn.PgConn().TxStatus())
	}
	query(conn, "drop table customers")
	lines()
	batch := &pgx.Batch{}
	batch.Queue("insert into log (line) values ('before')")
	batch.Queue("drop table customers")
	batch.Queue("insert into log (line) values ('after')")
	report("batch", conn.SendBatch(ctx, batch).Close())
	lines()
	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DROP /* a comment */ TABLE customers")
	report("in a transaction", err)
	fmt.Printf("%c\n", conn.PgConn().TxStatus())
	fmt.Println(tx.Rollback(ctx))
	lines()
}
