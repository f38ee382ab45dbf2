//! What a rule masks leaves the gateway in no shape: not as text, not as binary, not in an error, not in a recording.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use hoop_testkit::clients::Client;
use hoop_testkit::wire::{Wire, message};
use hoop_testkit::{direct_only, psql, psql_script};

use crate::stand::{MASKED, id, recording, stand};

/// Values of the fixture that nobody may see.
pub(crate) const CANARIES: [&str; 6] = [
    "canary.one@canary-leak.example.com",
    "canary.two@canary-leak.example.com",
    "4242424242424242",
    "5555555555554444",
    "078-05-1120",
    "219-09-9999",
];

/// The canaries in a text, as they are and as hexadecimal digits.
fn leaks(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    let hex = |canary: &str| canary.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    CANARIES.into_iter().filter(|canary| lower.contains(canary) || lower.contains(&hex(canary))).collect()
}

#[track_caller]
fn clean(text: &str) {
    let found = leaks(text);
    assert!(found.is_empty(), "{found:?} leaked:\n{text}");
}

/// Runs a client program on the canaries, and searches what it printed and what was recorded of it.
fn sees_nothing(client: Client) -> String {
    let target = stand().secrets(MASKED);
    let direct = client.run("masked", &target.direct).ok();
    assert!(!leaks(&direct).is_empty(), "the program should show what it reads: {direct}");
    if direct_only() {
        return direct;
    }
    let masked = client.run("masked", &target.gateway).ok();
    clean(&masked);
    assert!(masked.contains("end"), "the program ran to its end: {masked}");
    stand().ended_session(&target.database);
    recordings_are_clean(&target.database);
    masked
}

/// Searches the recordings of every session on a database for every spelling of every canary.
fn recordings_are_clean(database: &str) {
    let spellings: Vec<Vec<u8>> = CANARIES.into_iter().flat_map(spellings).collect();
    let search = AhoCorasick::builder().ascii_case_insensitive(true).build(&spellings).expect("a few short texts");
    let sessions = stand().gateway.sessions().into_iter().filter(|session| session["database"] == database);
    let paths: Vec<_> = sessions.map(|session| recording(&stand().gateway, &id(&session))).collect();
    assert!(!paths.is_empty(), "there are recordings");
    for path in paths {
        let bytes = std::fs::read(&path).expect("a recording");
        let hit = search.find(&bytes);
        assert!(
            hit.is_none(),
            "{:?} is at {hit:?} of {}",
            hit.map(|hit| CANARIES[hit.pattern().as_usize() / 5]),
            path.display()
        );
    }
}

/// As it is, as hexadecimal digits, and as base64 at each of the three offsets.
pub(crate) fn spellings(text: &str) -> Vec<Vec<u8>> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = vec![text.as_bytes().to_vec(), hex.into_bytes()];
    for offset in 0..3 {
        let padded = [&b"..."[..offset], text.as_bytes()].concat();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&padded);
        // What is around the value changes the characters at both ends.
        let inner = &encoded.as_bytes()[4..encoded.len() - 4];
        found.push(inner.to_vec());
    }
    found
}

#[test]
fn psycopg_sees_nothing() {
    let seen = sees_nothing(Client::Psycopg);
    assert!(seen.contains("Canary One"), "what no rule is about stays: {seen}");
}

#[test]
fn asyncpg_sees_nothing() {
    let seen = sees_nothing(Client::Asyncpg);
    assert!(seen.contains("Canary Two"), "{seen}");
}

#[test]
fn node_postgres_sees_nothing() {
    sees_nothing(Client::Node);
}

#[test]
fn pgjdbc_sees_nothing() {
    sees_nothing(Client::Jdbc);
}

#[test]
fn pgx_sees_nothing() {
    sees_nothing(Client::Pgx);
}

#[test]
fn psql_sees_nothing() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    let script = r"
        \set ON_ERROR_STOP off
        table customers;
        select email as a, card_number as b, ssn as c from customers;
        select c, c.*, row(c.email, c.ssn) from customers as c;
        select upper(email), '<' || card_number || '>', array[email] from customers;
        copy customers to stdout;
        copy customers to stdout (format csv, force_quote *);
        copy (select email, card_number from customers) to stdout (delimiter '|');
        begin; declare c cursor for select email, card_number, ssn from customers; fetch all in c; commit;
        insert into customers select 9, name, email, card_number from customers where id = 1;
        select email::int from customers;
        select loud(email || card_number) from customers;
        do $$ declare c customers; begin for c in select * from customers loop raise notice '% % %', c.email, c.card_number, c.notes; end loop; end $$;
        do $$ begin raise exception 'with %', (select email from customers limit 1) using detail = (select card_number from customers limit 1), hint = (select email from customers limit 1); end $$;
        update customers set name = name returning *;
        listen channel; select pg_notify('channel', email) from customers;
        select json_agg(c) from customers as c;
        select xmlforest(email, card_number) from customers;
        explain (costs off) select * from customers where email = 'canary.one@canary-leak.example.com';
        prepare p as select * from customers; execute p;
        create temp table copied as select * from customers; table copied;
        create view seen as select ssn as renamed, email as other from customers; table seen;
        \d customers
        select 'the ' || 'end';
    ";
    let seen = psql_script(&target.gateway, script);
    clean(&seen.text());
    clean(&seen.stderr);
    assert!(seen.text().contains("the end") && seen.text().contains("Canary One"), "{seen}");
    let session = id(&stand().ended_session(&target.database));
    recordings_are_clean(&target.database);
    let shown = stand().gateway.hoop(&["audit", "show", &session]);
    clean(&shown.ok());
}

/// A function that is called by its number gives a result like any other, also after one in which nothing was searched.
#[test]
fn a_function_call_is_masked() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    let mut wire = Wire::login(&target.gateway).expect("a login");
    wire.query("select 1").expect("a query");
    wire.read_all();
    // textcat(text, text), arguments and result as text.
    let argument = CANARIES[0].as_bytes();
    let length = u32::try_from(argument.len()).expect("a short text").to_be_bytes();
    let call = [&1258_u32.to_be_bytes()[..], &[0, 0, 0, 2], &length, argument, &[0; 4], &[0, 0]].concat();
    wire.send(&message(b'F', &call)).expect("a function call");
    let messages = wire.read_all();
    let kinds: Vec<u8> = messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, b"VZ");
    clean(&String::from_utf8_lossy(&messages[0].body));
}

/// The protocol does not describe a COPY: it is asked about before it runs, and that needs a text of its own.
#[test]
fn a_copy_among_other_statements_says_what_to_do() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    for text in ["select 1; copy customers to stdout", "copy customers to stdout; select 1"] {
        let seen = psql(&target.gateway, &["-c", text]);
        clean(&seen.text());
        let refused = seen.failure();
        assert!(refused.contains("COPY") && refused.contains("customers.ssn"), "{text}: {refused}");
        assert!(refused.contains("HINT:  send the COPY on its own"), "{text}: {refused}");
    }
    let alone = psql(&target.gateway, &["-c", "copy customers to stdout"]).ok();
    clean(&alone);
    assert!(alone.contains("Canary One"), "{alone}");
}

/// A rule by column follows the column, not its name or its shape.
#[test]
fn a_column_rule_holds_under_another_name() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    psql(&target.direct, &["-c", "update customers set ssn = 'not a number at all'"]).ok();
    let seen = psql(&target.gateway, &["-c", "select ssn as harmless from customers"]).ok();
    assert!(!seen.contains("not a number"), "{seen}");
    let seen = psql(&target.gateway, &["-c", "select c.ssn from (select * from customers) as c"]).ok();
    assert!(!seen.contains("not a number"), "{seen}");
}

/// What the client sends is masked before it is recorded, and stored as it was sent.
#[test]
fn what_is_written_arrives_and_is_not_recorded() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    let new = "canary.two@canary-leak.example.com".replace("two", "three");
    let insert = format!("insert into customers values (3, 'Three', '{new}', '5555555555554444')");
    psql(&target.gateway, &["-c", &insert]).ok();
    assert_eq!(psql(&target.direct, &["-c", "select email from customers where id = 3"]).ok().trim(), new);
    stand().ended_session(&target.database);
    recordings_are_clean(&target.database);
}
