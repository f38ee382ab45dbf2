//! Values that are planted in every way in which they can be written are in no reading of what is shown.

use hoop_proto::http::reading::{Coding, Reading};

use super::*;

const EMAIL: &str = "ada@example.com";
const CARD: &str = "4111 1111 1111 1111";
const SSN: &str = "123-45-6789";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const IBAN: &str = "DE89370400440532013000";

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn each(text: &str, write: impl Fn(char) -> String) -> String {
    text.chars().map(write).collect()
}

/// Type, body, and what must not be read in it.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let escaped = each(EMAIL, |char| format!("\\u{:04x}", u32::from(char)));
    let references = each(EMAIL, |char| format!("&#{};", u32::from(char)));
    let hexed = each(CARD, |char| format!("&#x{:X}", u32::from(char)) + ";");
    let percent = each(EMAIL, |char| format!("%{:02X}", u32::from(char)));
    let json = "application/json";
    let html = "text/html; charset=utf-8";
    let xml = "application/xml";
    let part = "multipart/mixed; boundary=b";
    let texts: Vec<(&str, String, &str)> = vec![
        ("text/plain", format!("mail {EMAIL} now"), EMAIL),
        ("text/plain", format!("{CARD}\r\n"), CARD),
        ("text/csv", format!("name,mail\r\n\"Ada, L\",\"{EMAIL}\"\r\n"), EMAIL),
        ("text/csv; charset=us-ascii", format!("1;{SSN};x\n"), SSN),
        ("text/markdown", format!("[ada](mailto:{EMAIL})"), EMAIL),
        ("text/plain", "https://x/?mail=ada%40example.com".into(), EMAIL),
        ("text/plain", format!("x {percent} y"), EMAIL),
        ("text/plain", "４１１１ １１１１ １１１１ １１１１".into(), "４１１１ １１１１"),
        ("text/css", format!("/* {EMAIL} */ a {{ }}"), EMAIL),
        ("text/javascript", format!("let mail = '{EMAIL}';"), EMAIL),
        ("text/javascript", "let mail = 'ada\\x40example.com';".into(), EMAIL),
        ("application/javascript", "let mail = \"ada\\u{40}example\\u002ecom\";".into(), EMAIL),
        ("application/javascript", "f('ada\\100example.com')".into(), EMAIL),
        (json, format!("{{\"mail\":\"{EMAIL}\"}}"), EMAIL),
        (json, "{\"mail\":\"ada\\u0040example.com\"}".into(), EMAIL),
        (json, format!("[\"{escaped}\"]"), EMAIL),
        (json, "{\"card\":4111111111111111}".into(), CARD),
        (json, "[1, 4111111111111111, 2]".into(), CARD),
        (json, format!("{{\"{EMAIL}\": 1}}"), EMAIL),
        (json, format!("{{\"a\":{{\"b\":[{{\"c\":\"x {CARD} y\"}}]}}}}"), CARD),
        (json, format!("{{\"a\":\"line\\n{SSN}\\n\"}}"), SSN),
        (json, "{\"a\":\"\\ud83d\\ude00 ada@example\\u002Ecom\"}".into(), EMAIL),
        (json, "{\"url\":\"https:\\/\\/x\\/?m=ada%40example.com\"}".into(), EMAIL),
        (json, format!("\"{EMAIL}\""), EMAIL),
        (json, format!("{{'mail': '{EMAIL}'}}"), EMAIL),
        (json, format!("mail: {EMAIL}"), EMAIL),
        (json, format!("{{\"mail\":\"{EMAIL}"), EMAIL),
        (json, "{\"aws_secret_access_key\": \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}".into(), "wJalrXUtnFEMI"),
        (json, format!("<html><b>{EMAIL}</b>"), EMAIL),
        ("application/problem+json", format!("{{\"detail\":\"{EMAIL}\"}}"), EMAIL),
        ("application/x-ndjson", format!("{{\"a\":1}}\n{{\"a\":\"{EMAIL}\"}}\n"), EMAIL),
        ("application/x-ndjson", format!("{{\"a\":\"x\n{{\"a\":\"{EMAIL}\"}}\n"), EMAIL),
        ("text/event-stream", format!("data: {{\"a\":\"{EMAIL}\"}}\n\n"), EMAIL),
        ("text/event-stream", format!("event: x\r\ndata: {CARD}\r\n\r\n"), CARD),
        ("text/event-stream", format!(": {EMAIL}\rid: {SSN}\r\r"), EMAIL),
        ("text/event-stream", "data: {\ndata: \"a\": \"ada\\u0040example.com\"\ndata: }\n\n".into(), EMAIL),
        (html, format!("<p>{EMAIL}</p>"), EMAIL),
        (html, "<p>ada&#64;example.com</p>".into(), EMAIL),
        (html, format!("<p>{references}</p>"), EMAIL),
        (html, format!("<td>{hexed}</td>"), CARD),
        (html, "<p>ada&commat;example&period;com</p>".into(), EMAIL),
        (html, "<p>ada<b>@</b><i class=x>example</i>.com</p>".into(), EMAIL),
        (html, "<p>4111<!-- --> 1111 <em>1111</em> 1111</p>".into(), CARD),
        (html, format!("<a href=\"mailto:{EMAIL}\">x</a>"), EMAIL),
        (html, "<a href='mailto:ada%40example.com'>x</a>".into(), EMAIL),
        (html, "<input value=ada&#64;example.com>".into(), EMAIL),
        (html, "<a title='ada&#x40;example.com'>x</a>".into(), EMAIL),
        (html, format!("<!-- {EMAIL} --><p>"), EMAIL),
        (html, "<script>var a = \"ada\\u0040example.com\";</script>".into(), EMAIL),
        (html, format!("<script type=application/json>{{\"a\":\"{KEY}\"}}</script>"), KEY),
        (html, format!("<style>/* {EMAIL} */</style>"), EMAIL),
        (html, "{\"mail\":\"ada\\u0040example.com\"}".into(), EMAIL),
        (html, format!("<p>4111&nbsp;1111&shy; 1111 1111 {IBAN}"), IBAN),
        (html, "<!--><p>ada&#64;example.com".into(), EMAIL),
        (xml, format!("<a><b>{EMAIL}</b></a>"), EMAIL),
        (xml, "<a>ada&#64;example.com</a>".into(), EMAIL),
        (xml, format!("<a><![CDATA[{EMAIL}]]></a>"), EMAIL),
        (xml, "<a>ada@<![CDATA[example]]>.com</a>".into(), EMAIL),
        (xml, format!("<a b=\"{SSN}\"/>"), SSN),
        ("image/svg+xml", "<svg><text>ada<tspan>@example.com</tspan></text></svg>".into(), EMAIL),
        ("application/soap+xml", format!("<?xml version='1.0'?><s:a>{CARD}</s:a>"), CARD),
        ("application/x-www-form-urlencoded", "a=1&mail=ada%40example.com&b=2".into(), EMAIL),
        ("application/x-www-form-urlencoded", format!("m={percent}"), EMAIL),
        ("application/x-www-form-urlencoded", "card=4111+1111+1111+1111".into(), CARD),
        (part, format!("--b\r\n\r\n{EMAIL}\r\n--b--\r\n"), EMAIL),
        (part, "--b\r\nContent-Type: application/json\r\n\r\n[\"ada\\u0040example.com\"]\r\n--b--".into(), EMAIL),
        (part, format!("--b\r\nContent-Disposition: x; filename=\"{EMAIL}\"\r\n\r\nx\r\n--b--"), EMAIL),
        (part, format!("--b\r\nContent-Type: image/png\r\n\r\n{EMAIL}\r\n--b--"), EMAIL),
        (part, format!("{EMAIL}\r\n--b\r\n\r\nx\r\n--b--\r\n{EMAIL}"), EMAIL),
        ("image/png", format!("<html><p>{EMAIL}"), EMAIL),
        ("application/octet-stream", format!("{{\"a\":\"{EMAIL}\"}}"), EMAIL),
        ("application/pdf", format!("mail {EMAIL}"), EMAIL),
        ("x", format!("mail {EMAIL}"), EMAIL),
        ("application/yaml", format!("mail: {EMAIL}\n"), EMAIL),
    ];
    let mut cases: Vec<_> = texts.into_iter().map(|(kind, text, canary)| (kind, text.into_bytes(), canary)).collect();
    let page = format!("<p>mail {EMAIL}</p>");
    cases.extend([
        ("text/html", utf16(&page, true, true), EMAIL),
        ("text/html", utf16(&page, false, true), EMAIL),
        ("text/html; charset=utf-16", utf16(&page, true, false), EMAIL),
        ("text/plain; charset=utf-16be", utf16(EMAIL, false, false), EMAIL),
        ("application/octet-stream", utf16(EMAIL, true, false), EMAIL),
        (json, utf16("[\"ada\\u0040example.com\"]", true, true), EMAIL),
        ("text/plain; charset=iso-8859-1", b"caf\xe9 4111\xa01111 1111 1111".to_vec(), CARD),
        ("text/plain; charset=Windows-1252", b"caf\xe9 ada@example.com \x80".to_vec(), EMAIL),
        ("text/html", b"\xEF\xBB\xBF<p>ada&#64;example.com".to_vec(), EMAIL),
        ("text/html", b"<meta charset=windows-1251><p>\xcf ada&#64;example.com".to_vec(), EMAIL),
    ]);
    cases
}

/// Whatever a client may make of the bytes.
fn readings(bytes: &[u8]) -> Vec<String> {
    let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let text = String::from_utf8_lossy(&narrow).into_owned();
    let mut stripped = String::new();
    let mut rest = text.as_str();
    while let Some((before, tag)) = rest.split_once('<') {
        stripped.push_str(before);
        let (mark, end) = if tag.starts_with("!--") { ("-->", 3) } else { (">", 1) };
        match tag.strip_prefix("![CDATA[") {
            Some(section) => rest = section,
            None => rest = tag.find(mark).map_or("", |at| &tag[at + end..]),
        }
    }
    stripped.push_str(&rest.replace("]]>", ""));
    let decoded = |text: &str, coding| {
        let mut reading = Reading::default();
        reading.read(text.as_bytes(), 0, coding, true);
        String::from_utf8_lossy(reading.text()).into_owned()
    };
    let mut all = vec![text.clone(), stripped.clone()];
    for text in [text, stripped] {
        for coding in [Coding::Escapes, Coding::References, Coding::Form] {
            all.push(decoded(&text, coding));
            all.push(decoded(&decoded(&text, coding), Coding::Percent));
        }
    }
    all
}

fn plain(text: &str) -> String {
    text.chars().filter(|char| !matches!(char, ' ' | '\u{a0}' | '\u{ad}' | '-' | '+')).collect()
}

#[test]
fn a_canary_is_in_no_reading_wherever_the_body_is_cut() {
    let session = Session::new(
        "{\"detectors\": {\"email\": \"label\", \"card\": \"label\", \"ssn\": \"label\", \"iban\": \"label\", \"cloud_key\": \"label\"}}",
    );
    assert!(cases().len() >= 60);
    for (kind, body, canary) in cases() {
        let fields: &[(&str, &str)] = if kind == "x" { &[] } else { &[("content-type", kind)] };
        let whole = session.response(fields, [body.as_slice()]);
        assert_eq!(whole.denied, None, "{kind}: {}", String::from_utf8_lossy(&body));
        for reading in readings(&whole.bytes) {
            assert!(
                !plain(&reading).contains(&plain(canary)),
                "{kind}: {reading:?} of {}",
                String::from_utf8_lossy(&body)
            );
        }
        assert!(!whole.bytes.is_empty());
        for at in 0..=body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(
                session.response(fields, [first, second]),
                whole,
                "{kind} at {at}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        assert_eq!(session.response(fields, body.chunks(1)), whole, "{kind}, byte by byte");
    }
}

#[test]
fn what_is_shown_is_still_what_it_was() {
    let session = Session::new("{\"detectors\": {\"email\": \"label\", \"card\": \"label\"}}");
    for (kind, body, shown) in [
        (
            "application/json",
            r#"{ "a" : "ada\u0040example.com" , "n":4111111111111111 }"#,
            r#"{ "a" : "[email]" , "n":"[card]" }"#,
        ),
        ("text/html", "<p>ada<b>@</b>example.com &amp; x</p>", "<p>[email]<b></b> &amp; x</p>"),
        ("text/html", "<a href='mailto:ada%40example.com?x'>y</a>", "<a href='mailto:[email]?x'>y</a>"),
        ("application/x-www-form-urlencoded", "m=ada%40example.com&n=1", "m=%5Bemail%5D&n=1"),
        ("application/xml", "<a>x <![CDATA[ada@example.com]]></a>", "<a>x <![CDATA[[email]]]></a>"),
        ("text/event-stream", "id: 1\ndata: [\"ada@example.com\"]\n\n", "id: 1\ndata: [\"[email]\"]\n\n"),
    ] {
        assert_eq!(session.text(kind, body), shown);
    }
    let wide = session.body("text/plain; charset=utf-16le", utf16("a ada@example.com z", true, false));
    assert_eq!(wide.bytes, utf16("a [email] z", true, false));
}

#[test]
fn what_has_nothing_in_it_passes_byte_for_byte() {
    let session = Session::new("{}");
    let mut data = b"\x89PNG\r\n\x1a\n\0\0".to_vec();
    data.extend_from_slice(b"ada@example.com");
    for (kind, body) in [
        ("image/png", data.as_slice()),
        ("application/pdf", b"%PDF-1.7\nada@example.com"),
        ("application/json", b" {\"a\": [1.5e3, true, null, \"x\\ny\\u00e9\\/\"], \"b\":{} }\n"),
        ("text/html", b"<!doctype html><p class=\"a b\">x &lt; y <br/>z</p><script>1<2</script>"),
        ("text/plain", b"\xff\xfe\x00\xd8a\0"),
    ] {
        let shown = session.body(kind, body);
        let refused = kind == "text/plain";
        assert_eq!((shown.bytes == body, shown.denied.is_some()), (!refused, refused), "{kind}");
    }
}
