//! The plugin as the chain sees it, and values in each of their forms.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::response::ColumnNames;
use hoop_core::{
    CellIndex, Column, Denial, Format, RowBatch, RowEncoding, RowError, Setting, StatementId, TableColumn, TargetError,
};

use super::action::{Action, MaskingKey};
use super::batch::Scratch;
use super::counts::MaskCounts;
use super::detect::{Builtin, Detectors};
use super::mask::{Masked, Masker};
use super::plan::{Plan, Treatment};
use super::reads::Remembered;
use super::rules::{ColumnRule, MaskingRules};
use super::types::shape;
use super::{Redactor, fields};

fn masker() -> Masker {
    Masker {
        detectors: Detectors::all(),
        actions: MaskingRules::default().detectors.into_iter().collect(),
        key: MaskingKey::derive(b"secret", "org"),
        max_value_bytes: 4096,
        counts: MaskCounts::default(),
    }
}

/// The plan of a result whose text reads nothing.
fn planned(columns: &Arc<[Column]>, rules: &[ColumnRule]) -> Result<Plan, Denial> {
    Plan::new(columns, b"select 1", &mut Remembered::default(), rules, true)
}

fn rule(json: &str) -> ColumnRule {
    serde_json::from_str(json).expect("a rule")
}

fn column(name: &'static str, origin: Option<(&str, &str, &str)>, type_oid: u32, format: Format) -> Column {
    let table = origin.map(|(schema, table, column)| TableColumn {
        table_oid: 1,
        attribute: 1,
        names: Some(Arc::new(ColumnNames::new(schema, table, column))),
    });
    Column { name: Bytes::from_static(name.as_bytes()), table, type_oid, format }
}

/// Length and bytes of each cell, as in DataRow.
#[derive(Debug)]
struct Framed(usize);

impl RowEncoding for Framed {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        let mut at = 0;
        while at < bytes.len() {
            index.begin_row(at);
            for _ in 0..self.0 {
                let len = bytes.get(at..at + 4).and_then(|len| len.try_into().ok()).map(i32::from_be_bytes);
                let len = usize::try_from(len.ok_or(RowError::new("torn"))?).ok();
                at += 4;
                index.push_cell(len.map(|len| at..at + len));
                at += len.unwrap_or(0);
            }
            index.end_row(at);
        }
        Ok(())
    }

    fn encode(
        &self,
        _: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        for cell in cells {
            out.put_i32(cell.map_or(-1, |cell| i32::try_from(cell.len()).unwrap_or(-1)));
            out.extend_from_slice(cell.unwrap_or_default());
        }
        Ok(())
    }
}

fn batch(columns: &Arc<[Column]>, rows: &[&[&[u8]]]) -> RowBatch {
    let mut out = BytesMut::new();
    for cell in rows.iter().flat_map(|row| row.iter()) {
        out.put_i32(i32::try_from(cell.len()).expect("short"));
        out.extend_from_slice(cell);
    }
    RowBatch::new(StatementId(1), columns.clone(), Arc::new(Framed(columns.len())), out.freeze(), rows.len())
}

fn text(masked: Masked) -> String {
    match masked {
        Masked::Same => "same".to_owned(),
        Masked::As(None) => "null".to_owned(),
        Masked::As(Some(shown)) => String::from_utf8_lossy(&shown).into_owned(),
    }
}

fn value(value: &str, type_oid: u32) -> String {
    text(masker().value(value.as_bytes(), shape(type_oid), type_oid, Format::Text))
}

#[test]
fn text_forms_stay_valid() {
    assert_eq!(value("mail ada@example.com now", 25), "mail a***@***.com now");
    assert_eq!(value("{ada@example.com,\"x y\"}", 1009), "{a***@***.com,\"x y\"}");
    assert_eq!(
        value(r#"{"a":"ada@example.com","n":4111111111111111}"#, 3802),
        r#"{"a":"a***@***.com","n":"**** **** **** 1111"}"#
    );
    assert_eq!(value(r#"["ada\u0040example.com","\n"]"#, 114), r#"["a***@***.com","\n"]"#);
    assert_eq!(value("10.1.2.3/8", 869), "0.0.0.0");
    assert_eq!(value("2001:db8::1", 869), "::");
    assert_eq!(value("4111111111111111", 20), "0");
    assert_eq!(value("4111111111111112", 20), "same");
    assert_eq!(value("\\x616461406578616d706c652e636f6d", 17), "\\x612a2a2a402a2a2a2e636f6d");
    assert_eq!(value("123-45-6789", 25), "[ssn]");
    assert_eq!(value(&"x".repeat(5000), 25), "[too_large]");
}

fn array(elements: &[&str]) -> Vec<u8> {
    let count = i32::try_from(elements.len()).expect("few");
    let mut out: Vec<u8> = [1, 0, 25, count, 1].iter().flat_map(|int: &i32| int.to_be_bytes()).collect();
    for element in elements {
        out.extend(i32::try_from(element.len()).expect("short").to_be_bytes());
        out.extend(element.bytes());
    }
    out
}

#[test]
fn binary_forms_stay_valid() {
    let masked = |bytes: &[u8], oid| masker().value(bytes, shape(oid), oid, Format::Binary);
    let flagged = |mut bytes: Vec<u8>| {
        bytes[7] = 1;
        Masked::As(Some(bytes.into()))
    };
    assert_eq!(masked(&array(&["ada@example.com", "x"]), 1009), flagged(array(&["a***@***.com", "x"])));
    assert_eq!(masked(&array(&["x"]), 1009), Masked::Same);
    assert_eq!(masked(b"\x01\"ada@example.com\"", 3802), Masked::As(Some(Bytes::from_static(b"\x01\"a***@***.com\""))));
    let record = |text: &str| [&[0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, text.len() as u8][..], text.as_bytes()].concat();
    assert_eq!(masked(&record("ada@example.com"), 2249), Masked::As(Some(record("a***@***.com").into())));
    assert_eq!(
        masked(&[2, 32, 0, 4, 10, 1, 2, 3], 869),
        Masked::As(Some(Bytes::from_static(&[2, 32, 0, 4, 0, 0, 0, 0])))
    );
    assert_eq!(masked(&4_111_111_111_111_111_i64.to_be_bytes(), 20), Masked::As(Some(Bytes::from_static(&[0; 8]))));
    let numeric = [0, 4, 0, 3, 0, 0, 0, 0, 16, 15, 4, 87, 4, 87, 4, 87];
    assert_eq!(masked(&numeric, 1700), Masked::As(Some(Bytes::from_static(&[0; 8]))));
    assert_eq!(masked(b"ada@example.com", 99_999), Masked::As(Some(Bytes::from_static(b"a***@***.com"))));
    assert_eq!(masked(b"\0\0ada@example.com", 99_999), Masked::As(None), "not a form that is known");
}

#[test]
fn a_rule_follows_the_column_and_not_its_name() {
    let rules = [rule(r#"{"column": "customers.email", "action": "label"}"#)];
    let treatment = |column: Column| planned(&Arc::from([column]), &rules).expect("a plan").column(0).treatment.clone();
    let masked =
        |column| matches!(treatment(column), Treatment::Whole(Action::Label, label) if label.as_str() == "email");
    assert!(masked(column("alias", Some(("public", "customers", "email")), 25, Format::Text)));
    assert!(!masked(column("email", Some(("public", "orders", "email")), 25, Format::Text)));
    assert!(masked(column("Email", None, 25, Format::Text)), "an expression with the column's name");
    assert!(!masked(column("id", None, 25, Format::Text)));
    assert_eq!(treatment(column("id", None, 23, Format::Text)), Treatment::None);
    assert!(
        Plan::new(
            &Arc::from([column("", None, 0, Format::Text)]),
            b"select 1",
            &mut Remembered::default(),
            &rules,
            true
        )
        .is_err(),
        "nobody knows what is in there"
    );
    assert!(planned(&Arc::from([]), &rules).is_ok(), "nothing is in there");
    let denies = [rule(r#"{"column": "customers.email", "unknown": "deny"}"#)];
    assert!(
        Plan::new(
            &Arc::from([column("x", None, 25, Format::Text)]),
            b"select 1",
            &mut Remembered::default(),
            &denies,
            true
        )
        .is_err()
    );
    let all = [rule(r#"{"column": "*.ssn", "unknown": "mask_all"}"#)];
    let plan = Plan::new(
        &Arc::from([column("x", None, 23, Format::Text)]),
        b"select 1",
        &mut Remembered::default(),
        &all,
        true,
    )
    .expect("a plan");
    assert!(plan.is_active());
    let ids: Arc<[Column]> =
        Arc::from([column("id", None, 23, Format::Binary), column("at", None, 1184, Format::Text)]);
    assert!(!planned(&ids, &rules).expect("a plan").is_active());
    assert!(serde_json::from_str::<ColumnRule>(r#"{"column": "a", "acton": "null"}"#).is_err());
}

#[test]
fn an_expression_is_what_its_text_makes_it() {
    let rules = [rule(r#"{"column": "customers.ssn"}"#)];
    let columns: Arc<[Column]> = Arc::from([column("upper", None, 25, Format::Text)]);
    let mut remembered = Remembered::default();
    let mut planned =
        |text: &str| Plan::new(&columns, text.as_bytes(), &mut remembered, &rules, false).expect("a plan");
    let (own, other) = ("select upper(ssn) from customers", "select upper(name) from customers");
    for _ in 0..2 {
        assert!(planned(own).is_active() && !planned(other).is_active());
    }
    assert!(planned(own).is_of(&columns, own.as_bytes()) && !planned(own).is_of(&columns, other.as_bytes()));
    let origin = Some(("public", "customers", "name"));
    let known: Arc<[Column]> = Arc::from([column("name", origin, 25, Format::Text)]);
    let plan = Plan::new(&known, own.as_bytes(), &mut Remembered::default(), &rules, false).expect("a plan");
    assert!(plan.is_of(&known, other.as_bytes()), "what is read from a table is that whatever the text");
    for number in 0..10 {
        assert!(!planned(&format!("select upper('{number}')")).is_active());
    }
    assert!(planned(own).is_active(), "what is not remembered is read again");
}

/// A zero in the place of a sum would be taken for one.
#[test]
fn an_expression_that_is_no_text_is_null() {
    let rules = [rule(r#"{"column": "customers.ssn"}"#)];
    let origin = Some(("public", "customers", "ssn"));
    for (origin, type_oid, expected) in [
        (None, 25, Action::Label),
        (None, 114, Action::Label),
        (None, 20, Action::Null),
        (None, 16, Action::Null),
        (None, 1184, Action::Null),
        (None, 1009, Action::Null),
        (origin, 20, Action::Label),
    ] {
        let columns: Arc<[Column]> = Arc::from([column("x", origin, type_oid, Format::Text)]);
        let text = b"select f(ssn) as x from customers";
        let plan = Plan::new(&columns, text, &mut Remembered::default(), &rules, false).expect("a plan");
        let Treatment::Whole(action, _) = plan.column(0).treatment else { panic!("{type_oid} is shown") };
        assert_eq!(action, expected, "{type_oid}");
    }
}

/// A view says what its expressions are made of.
#[test]
fn an_expression_of_a_view_is_what_the_view_reads() {
    let of_view = |reads: &[&str], traced| {
        let mut names = ColumnNames::new("public", "made", "x");
        names.computed_from = reads.iter().map(|column| ColumnNames::new("public", "customers", *column)).collect();
        names.traced = traced;
        let table = Some(TableColumn { table_oid: 1, attribute: 1, names: Some(Arc::new(names)) });
        let name = Bytes::from_static(b"x");
        Arc::from([Column { name, table, type_oid: 25, format: Format::Text }])
    };
    for (unknown, reads, traced, masked) in [
        ("mask_if_read", &["ssn"][..], true, Some(true)),
        ("mask_if_read", &["id"], true, Some(false)),
        ("mask_if_read", &["id"], false, Some(true)),
        ("mask_same_name", &["ssn"], true, Some(false)),
        ("mask_all", &["ssn"], true, Some(true)),
        ("mask_all", &["id"], true, Some(false)),
        ("deny", &["id"], true, Some(false)),
        ("deny", &["ssn"], true, None),
        ("deny", &["id"], false, None),
    ] {
        let rules = [rule(&format!(r#"{{"column": "customers.ssn", "unknown": "{unknown}"}}"#))];
        let columns = of_view(reads, traced);
        let plan = Plan::new(&columns, b"select x from made", &mut Remembered::default(), &rules, false);
        assert_eq!(plan.ok().map(|plan| plan.is_active()), masked, "{unknown}, made of {reads:?}, {traced}");
    }
}

#[test]
fn a_batch_is_masked_where_it_must_be() {
    let columns: Arc<[Column]> = Arc::from([
        column("id", None, 23, Format::Text),
        column("note", None, 25, Format::Text),
        column("salary", Some(("public", "staff", "salary")), 23, Format::Text),
    ]);
    let rules = [rule(r#"{"column": "staff.salary", "action": "null"}"#)];
    let (masker, mut scratch) = (masker(), Scratch::default());
    let plan = planned(&columns, &rules).expect("a plan");
    let mut rows = batch(&columns, &[&[b"1", b"nothing", b"10"], &[b"2", b"ada@example.com", b"20"]]);
    scratch.mask(&mut rows, &plan, &masker).expect("rows");
    let cells = rows.cells().expect("rows");
    let shown: Vec<_> =
        (0..2).map(|row| cells.row(row).map(|cell| cell.map(<[u8]>::to_vec)).collect::<Vec<_>>()).collect();
    assert_eq!(shown[0], [Some(b"1".to_vec()), Some(b"nothing".to_vec()), None]);
    assert_eq!(shown[1], [Some(b"2".to_vec()), Some(b"a***@***.com".to_vec()), None]);
    assert_eq!(masker.counts.totals(), [("email".to_owned(), 1), ("salary".to_owned(), 2)].into());
    let torn = RowBatch::new(StatementId(1), columns, Arc::new(Framed(3)), Bytes::from_static(b"\0\0"), 1);
    assert!({ torn }.cells().is_err());
}

fn error(fields: &[(u8, &'static str)]) -> TargetError {
    let fields = fields.iter().map(|(letter, text)| (*letter, Bytes::from_static(text.as_bytes()))).collect();
    TargetError { statement: None, fields, denial: None }
}

#[test]
fn errors_and_notices_tell_nothing() {
    let rules = [rule(r#"{"column": "staff.salary"}"#)];
    let shown = |fields: &[(u8, &'static str)]| {
        let mut error = error(fields);
        fields::mask_error(&mut error, &rules, &masker());
        String::from_utf8_lossy(error.field(b'D')).into_owned() + &String::from_utf8_lossy(error.field(b'M'))
    };
    assert_eq!(
        shown(&[(b'D', "Key (email)=(ada@example.com) already exists.")]),
        "Key (email)=(a***@***.com) already exists."
    );
    assert_eq!(
        shown(&[(b't', "staff"), (b'D', "Key (id, salary)=(1, 99) exists.")]),
        "Key (id, salary)=(1, [salary]) exists."
    );
    assert_eq!(shown(&[(b't', "other"), (b'D', "Key (salary)=(99) exists.")]), "Key (salary)=(99) exists.");
    assert_eq!(shown(&[(b't', "staff"), (b'D', "Failing row contains (1, 99).")]), "Failing row contains ([masked]).");
    assert_eq!(
        shown(&[(b'C', "22P02"), (b'M', "invalid input syntax for type date: \"99\"")]),
        "invalid input syntax for type date: \"[masked]\""
    );
}

/// Where nothing of unknown origin may be shown, what the server says of its own accord is of unknown origin.
#[test]
fn texts_of_unknown_origin_are_hidden_where_a_rule_says_so() {
    let lenient = [rule(r#"{"column": "staff.name"}"#)];
    let strict = [rule(r#"{"column": "staff.name", "unknown": "mask_all"}"#)];
    let shown = |rules: &[ColumnRule], letter: u8, fields: &[(u8, &'static str)]| {
        let mut error = error(fields);
        fields::mask_error(&mut error, rules, &masker());
        String::from_utf8_lossy(error.field(letter)).into_owned()
    };
    let relation = [(b'C', "42P01"), (b'M', "relation \"ada\" does not exist")];
    assert_eq!(shown(&lenient, b'M', &relation), "relation \"ada\" does not exist");
    assert_eq!(shown(&strict, b'M', &relation), "relation \"[masked]\" does not exist");
    let own = [relation[0], relation[1], (b'P', "15")];
    assert_eq!(shown(&strict, b'M', &own), "relation \"ada\" does not exist", "the client wrote it");
    let unique = [(b'C', "23505"), (b'M', "duplicate key value violates unique constraint \"staff_pkey\"")];
    assert!(shown(&strict, b'M', &unique).ends_with("\"staff_pkey\""));
    let raised = [(b'C', "P0001"), (b'F', "pl_exec.c"), (b'M', "about ada"), (b'W', "line 1 at RAISE"), (b't', "ada")];
    assert_eq!(shown(&lenient, b'M', &raised), "about ada");
    for letter in *b"MWt" {
        assert_eq!(shown(&strict, letter, &raised), "[masked]");
    }
    let json = [
        (b'C', "22P02"),
        (b'D', "Token \"ada\" is invalid."),
        (b'W', "JSON data, line 1: ada\nPL/pgSQL function f() line 1"),
    ];
    assert_eq!(shown(&lenient, b'W', &json), "[masked]\nPL/pgSQL function f() line 1");
    assert_eq!(shown(&lenient, b'D', &json), "Token \"[masked]\" is invalid.");
    assert_eq!(shown(&lenient, b'D', &[(b'C', "2200M"), (b'D', "line 1: ada")]), "[masked]");
    assert_eq!(shown(&strict, b'q', &[(b'C', "42601"), (b'q', "select ada")]), "[masked]");

    let payload = Bytes::from_static(b"ada");
    assert_eq!(fields::mask_payload(&payload, &lenient, &masker()), "ada");
    assert_eq!(fields::mask_payload(&payload, &strict, &masker()), "[masked]");
    let setting = |name: &'static str| Setting { name: Bytes::from_static(name.as_bytes()), value: payload.clone() };
    assert_eq!(fields::mask_setting(&setting("application_name"), &strict, &masker()), "[masked]");
    assert_eq!(fields::mask_setting(&setting("TimeZone"), &strict, &masker()), "ada");
}

#[test]
fn inputs_are_redacted() {
    let redactor = Redactor::new(Arc::new(masker()));
    let statement = Bytes::from_static(b"insert into t values ('ada@example.com', 1)");
    assert_eq!(redactor.statement(&statement), &b"insert into t values ('a***@***.com', 1)"[..]);
    assert_eq!(
        redactor.parameter(&Bytes::from_static(b"123-45-6789"), Format::Binary),
        Some(Bytes::from_static(b"[ssn]"))
    );
    assert_eq!(Builtin::ALL.len(), MaskingRules::default().detectors.len());
}
