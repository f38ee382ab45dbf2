//! Heads, trailers, and bodies that nobody may see.

use super::*;

#[test]
fn fields_are_masked_where_that_breaks_nothing() {
    let session = Session::new("{}");
    let channel = session.ask(ExchangeKind::Plain);
    let head = session.head(
        channel,
        302,
        &[
            ("location", "/u?mail=ada%40example.com&x=1"),
            ("x-user", "ada@example.com"),
            ("x-4111111111111111", "1"),
            ("set-cookie", "mail=ada@example.com"),
            ("etag", "\"ada@example.com\""),
            ("content-disposition", "attachment; filename=\"ada\\@example.com.txt\""),
        ],
    );
    let head = head.expect("a head");
    let value = |name: &str| head.headers.get(name).map(|value| value.to_str().expect("ascii"));
    assert_eq!(value("location"), Some("/u?mail=a***@***.com&x=1"));
    assert_eq!(value("x-user"), Some("a***@***.com"));
    assert_eq!(value("x-4111111111111111"), None);
    assert_eq!(value("set-cookie"), Some("mail=ada@example.com"));
    assert_eq!(value("etag"), Some("\"ada@example.com\""));
    assert!(!value("content-disposition").expect("kept").contains("example"));
    assert!(head.body.read && head.body.change);
}

#[test]
fn trailers_are_masked_and_come_with_the_end() {
    let session = Session::new("{}");
    let channel = session.ask(ExchangeKind::Plain);
    session.head(channel, 200, &[("content-type", "text/plain")]).expect("a head");
    let trailers = headers(&[
        ("grpc-message", "no user ada%40example.com"),
        ("x", "123-45-6789"),
        // google.rpc.Status with the message "no ada@example.com".
        ("grpc-status-details-bin", "CAUSEm5vIGFkYUBleGFtcGxlLmNvbQ"),
    ]);
    let part = session.piece(channel, b"4111 1111", true, Some(trailers)).expect("the end");
    assert_eq!((&part.bytes[..], part.held_back), (&b"4111 1111"[..], false));
    let trailers = part.trailers.expect("trailers");
    assert_eq!(trailers["grpc-message"], "no user a***@***.com");
    assert_eq!(trailers["x"], "[ssn]");
    assert_eq!(trailers["grpc-status-details-bin"], "CAUSD25vIGEqKipAKioqLmNvbQ==");
}

#[test]
fn parts_of_bodies_and_unknown_charsets_are_refused() {
    let session = Session::new("{}");
    let refused = |status, fields: &[_]| {
        let channel = session.ask(ExchangeKind::Plain);
        session.head(channel, status, fields).expect("a head");
        session.piece(channel, b"x", true, None).err()
    };
    assert_eq!(refused(206, &[]), Some(Code::MaskingFailed));
    assert_eq!(refused(200, &[("content-range", "bytes 0-1/9")]), Some(Code::MaskingFailed));
    assert_eq!(refused(416, &[("content-range", "bytes */9")]), None);
    let channel = session.ask(ExchangeKind::Plain);
    session.head(channel, 206, &[]).expect("a head");
    session.head(channel, 200, &[]).expect("the head of the whole");
    assert!(session.piece(channel, b"x", true, None).is_ok(), "all of it was asked for instead");
    for kind in
        ["text/html; charset=utf-7", "text/plain; charset=shift_jis", "multipart/mixed", "text/plain;charset=utf-32"]
    {
        assert_eq!(session.body(kind, "some text").denied, Some(Code::MaskingFailed), "{kind}");
    }
    let encoded = "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b--";
    assert_eq!(session.body("multipart/mixed; boundary=b", encoded).denied, Some(Code::MaskingFailed));
    let entity = "<!DOCTYPE a [<!ENTITY x 'ada@'>]><a>&x;example.com</a>";
    assert_eq!(session.body("text/xml; charset=utf-8", entity).denied, Some(Code::MaskingFailed));
    let channel = session.ask(ExchangeKind::Plain);
    session.head(channel, 200, &[("content-type", "text/html; charset=utf-7")]).expect("a head");
    assert!(session.piece(channel, b"some text", false, None).is_err());
    assert!(session.piece(channel, b"x", true, None).is_err(), "nothing comes after a refusal");
}

#[test]
fn types_say_what_is_searched_and_what_is_not() {
    let session = Session::new(r#"{"types": ["application/pdf"], "unsearched": ["video/*"]}"#);
    assert_eq!(session.text("application/pdf", "%PDF-1.7 ada@example.com"), "%PDF-1.7 a***@***.com");
    let channel = session.ask(ExchangeKind::Plain);
    let head = session.head(channel, 206, &[("content-type", "video/mp4")]).expect("a head");
    assert!(!head.body.read, "ranges and validators stay as they are");
    assert_eq!(session.body("video/mp4", "ada@example.com").text(), "ada@example.com");
}

#[test]
fn events_and_lines_are_not_kept_and_words_go_on_after_a_while() {
    let session = Session::new("{}");
    let stream = |kind: &str| {
        let channel = session.ask(ExchangeKind::Plain);
        session.head(channel, 200, &[("content-type", kind)]).expect("a head");
        channel
    };
    let shown = |channel, bytes: &str| {
        let part = session.piece(channel, bytes.as_bytes(), false, None).expect("a piece");
        (String::from_utf8_lossy(&part.bytes).into_owned(), part.held_back)
    };
    let events = stream("text/event-stream");
    for event in ["data: {\"a\":\"ada\"}\n\n", "data: one\r\n\r\n", ": ping\n\n"] {
        assert_eq!(shown(events, event), (event.to_owned(), false));
    }
    let lines = stream("application/x-ndjson");
    assert_eq!(shown(lines, "{\"a\":12}\n"), ("{\"a\":12}\n".to_owned(), false));
    let watch = stream("application/json");
    assert_eq!(shown(watch, "{\"a\":12}"), ("{\"a\":12}".to_owned(), false));
    let log = stream("text/plain");
    assert_eq!(shown(log, "[info] a 5\" disk\n"), ("[info] a 5\" disk\n".to_owned(), false));
    let text = stream("text/plain");
    assert_eq!(shown(text, "all is well, ada"), (String::new(), true));
    assert_eq!(session.flush(text), b"all is well, ");
    assert_eq!(session.flush(text), b"");
    assert_eq!(shown(text, "@example.com 4111\n"), ("a***@***.com 4111\n".to_owned(), false));
    let page = stream("text/html; charset=utf-8");
    assert_eq!(shown(page, "<p>wait for ada"), ("<p>".to_owned(), true));
    assert_eq!(session.flush(page), b"wait for ");
}

#[test]
fn exchanges_do_not_mix() {
    let session = Session::new("{}");
    let [one, two] = [(); 2].map(|()| {
        let channel = session.ask(ExchangeKind::Plain);
        session.head(channel, 200, &[("content-type", "text/plain")]).expect("a head");
        channel
    });
    let bytes = |channel, bytes: &[u8], last| session.piece(channel, bytes, last, None).expect("a piece").bytes;
    assert!(bytes(one, b"ada@exam", false).is_empty() && bytes(two, b"4111 1111 1111", false).is_empty());
    assert_eq!(bytes(one, b"ple.com", true), "a***@***.com");
    assert_eq!(bytes(two, b" 1111", true), "**** **** **** 1111");
}
