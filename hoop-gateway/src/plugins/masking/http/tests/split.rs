//! The same is shown whatever the pieces are, also of long texts.

use proptest::prelude::*;

use super::*;

const KINDS: [&str; 11] = [
    "text/plain",
    "text/javascript",
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "text/html; charset=utf-8",
    "application/xml; charset=utf-8",
    "application/x-www-form-urlencoded",
    "multipart/mixed; boundary=b",
    "text/plain; charset=latin1",
    "application/octet-stream",
];

fn part() -> impl Strategy<Value = String> {
    let fixed = |texts: &'static [&'static str]| proptest::sample::select(texts).prop_map(str::to_owned);
    prop_oneof![
        fixed(&[
            "ada@example.com",
            "4111 1111 1111 1111",
            "4111111111111111",
            "123-45-6789",
            "DE89 3704 0044 0532 0130 00"
        ]),
        fixed(&[
            "ada\\u0040example.com",
            "ada&#64;example.com",
            "ada%40example.com",
            "&amp",
            "\\u00",
            "&#",
            "%4",
            "\\ud83d\\ude00"
        ]),
        fixed(&[
            "{\"",
            "\":\"",
            "\",\"",
            "\"}",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "null",
            "12",
            "data: ",
            "data:{\"a\":\""
        ]),
        fixed(&[
            "<p>",
            "</p>",
            "<b class=\"x\">",
            "</b>",
            "<!-- ",
            " -->",
            "<![CDATA[",
            "]]>",
            "<script>",
            "</script>",
            "<a b='",
            "'>",
            "<",
            ">"
        ]),
        fixed(&[
            "\r\n--b\r\n",
            "--b--",
            "\r\n\r\n",
            "Content-Type: application/json\r\n\r\n",
            "\n",
            "\r",
            "&",
            "=",
            "+"
        ]),
        fixed(&["-----BEGIN RSA PRIVATE KEY-----\n", "MIIEpAIBAAKCAQEA\n", "-----END RSA PRIVATE KEY-----\n"]),
        "[ -~]{0,12}",
        "[0-9 .@é-]{0,20}",
    ]
}

fn pieces<'a>(mut rest: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*length).min(rest.len()));
        pieces.push(now);
        rest = later;
    }
    pieces
}

const SETTINGS: [&str; 2] = [
    r#"{"detectors": {"email": "label", "card": "partial", "ssn": "token", "iban": "hash", "cloud_key": "label"}}"#,
    r#"{"detectors": {"email": "label", "card": "null"}, "fail": "mask",
        "fields": [{"path": "$..a"}, {"path": "[*].b", "action": "null"}, {"form": "a"}, {"element": "p"}, {"element": "@class"}]}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_split_shows_the_same(
        parts in proptest::collection::vec(part(), 1..14),
        lengths in proptest::collection::vec(1_usize..30, 1..12),
        kind in proptest::sample::select(&KINDS[..]),
        settings in proptest::sample::select(&SETTINGS[..]),
    ) {
        let session = Session::new(settings);
        let text = parts.concat();
        let fields = [("content-type", kind)];
        let whole = session.response(&fields, [text.as_bytes()]);
        let split = session.response(&fields, pieces(text.as_bytes(), &lengths));
        prop_assert_eq!(split.denied, whole.denied);
        if whole.denied.is_none() {
            prop_assert_eq!(split.text(), whole.text());
        }
    }

    #[test]
    fn any_bytes_break_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in proptest::sample::select(&KINDS[..]),
        settings in proptest::sample::select(&SETTINGS[..]),
    ) {
        let session = Session::new(settings);
        let whole = session.response(&[("content-type", kind)], [bytes.as_slice()]);
        let split = session.response(&[("content-type", kind)], bytes.chunks(7));
        prop_assert_eq!(whole.denied, split.denied);
        prop_assert!(whole.denied.is_some() || whole.bytes == split.bytes);
    }
}

#[test]
fn long_texts_are_cut_at_the_same_places() {
    let session = Session::new(SETTINGS[0]);
    let words: String =
        (0..30_000).map(|number| format!("w{number}{}", if number % 7 == 0 { " " } else { "x" })).collect();
    let line = format!("{words} ada@example.com {words}");
    for (kind, body) in [
        ("text/plain", line.clone()),
        ("text/javascript", format!("'{line}\\u0040'")),
        ("application/json", format!("{{\"k\":\"{line}\",\"z\":\"ada@example.com\"}}")),
        ("application/json", format!("[\"{}\"]", "\\u0041".repeat(80_000))),
        ("text/html; charset=utf-8", format!("<p>{line}<img src=\"data:{line}\">ada@example.com</p>")),
        ("text/event-stream", format!("data: {line}\n\ndata: {{\"a\":\"{line}\"}}\n\n")),
        ("application/x-www-form-urlencoded", format!("a={}&b=ada%40example.com", line.replace(' ', "+"))),
    ] {
        let fields = [("content-type", kind)];
        let whole = session.response(&fields, [body.as_bytes()]);
        assert_eq!(whole.denied, None, "{kind}");
        assert!(!whole.text().contains("ada@") && !whole.text().contains("ada%40"), "{kind}");
        for length in [1_000, 4_096, 65_536, 100_001] {
            assert_eq!(session.response(&fields, body.as_bytes().chunks(length)), whole, "{kind} in {length}");
        }
        assert!(body.contains("ada") || whole.bytes == body.as_bytes());
    }
}

#[test]
fn a_value_that_is_longer_than_anything_is_left_out() {
    let session = Session::new(SETTINGS[0]);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}", "MIIEpAIBAAKCAQEA\n".repeat(9_000));
    let text = format!("{key}-----END RSA PRIVATE KEY-----\nafter\n");
    let shown = session.text("text/plain", &text);
    assert!(!shown.contains("MIIE") && shown.ends_with("after\n"), "{}", &shown[..shown.len().min(200)]);
    let string = session.text("application/json", format!("{{\"a\":\"{}\",\"b\":1}}", text.replace('\n', "\\n")));
    assert_eq!(string, "{\"a\":\"[too_large]\",\"b\":1}");
}
