use super::super::shell;
use super::*;

fn source(bytes: &[u8]) -> Source {
    let mut source = Source::default();
    source.receive(Bytes::copy_from_slice(bytes));
    source
}

#[test]
fn a_file_follows_its_line_when_that_is_accepted() {
    let mut accepted = source(b"C0644 0 empty\n");
    assert!(matches!(accepted.part(), Ok(Some(Part::Line { line: Line::File { mode: 0o644, size: 0, .. }, .. }))));
    assert_eq!(accepted.part(), Ok(None));
    accepted.answered(true);
    accepted.receive(Bytes::from_static(b"\0E\n"));
    assert!(matches!(accepted.part(), Ok(Some(Part::Sent { answer: Answer::Ok, .. }))));
    assert!(matches!(accepted.part(), Ok(Some(Part::Line { line: Line::End, .. }))));

    let mut refused = source(b"C0644 5 x\n");
    assert!(refused.part().is_ok());
    refused.answered(false);
    refused.receive(Bytes::from_static(b"D0755 0 dir\n"));
    assert!(matches!(refused.part(), Ok(Some(Part::Line { line: Line::Directory { .. }, .. }))));

    let mut hasty = source(b"C0644 5 x\nhello\0");
    assert!(hasty.part().is_ok());
    assert_eq!(hasty.part(), Err(ScpError::NotAnswered));
}

#[test]
fn lines_that_are_none_are_refused() {
    for line in [
        &b"C0644 5 ../x\n"[..],
        b"C0644 5 ..\n",
        b"C0644 5 \n",
        b"C0644 5\n",
        b"C0844 5 x\n",
        b"C0644 -5 x\n",
        b"C0644 99999999999999999999 x\n",
        b"D0755 0 a/b\n",
        b"T1 0 2\n",
        b"T1 0 2 0 3\n",
        b"Ex\n",
        b"hello\n",
        b"\0",
        b"\n",
    ] {
        assert!(source(line).part().is_err(), "{}", line.escape_ascii());
    }
    assert_eq!(source(&[&b"C0644 5 "[..], &[b'x'; MAX_LINE]].concat()).part(), Err(ScpError::TooLong));
}

#[test]
fn answers() {
    let mut sink = Sink::default();
    sink.receive(Bytes::from_static(b"\0\x01scp: no\n\x02"));
    assert!(matches!(sink.answer(), Ok(Some((Answer::Ok, _)))));
    assert!(matches!(sink.answer(), Ok(Some((Answer::Warning(text), _))) if text == "scp: no"));
    assert_eq!(sink.answer(), Ok(None));
    sink.receive(Bytes::from_static(b"gone\nx"));
    assert!(matches!(sink.answer(), Ok(Some((Answer::Fatal(text), _))) if text == "gone"));
    assert_eq!(sink.answer(), Err(ScpError::Begin(b'x')));
}

#[test]
fn commands_that_are_surely_scp() {
    use Direction::{Download, Upload};
    for (text, direction, path) in [
        ("scp -t /tmp/x", Upload, "/tmp/x"),
        ("/usr/bin/scp -r -p -d -t -- '-a b'", Upload, "-a b"),
        ("scp -qrt ~/x", Upload, "~/x"),
        ("scp -f /srv/data/x", Download, "/srv/data/"),
        ("scp -f /srv/data/*.[ch]", Download, "/srv/data/"),
        ("scp -r -f /srv/data//", Download, "/srv/"),
        ("scp -f x", Download, ""),
        ("scp -f ~/x", Download, "~/"),
        ("scp -f /srv/*/x", Download, ""),
        ("scp -f $HOME/x", Download, ""),
        ("scp -f a /b/c", Download, ""),
    ] {
        let command = Command::parse(text.as_bytes()).expect(text);
        assert_eq!((command.direction, &command.path[..]), (direction, path.as_bytes()), "{text}");
    }
    for text in [
        "scp a host:b",
        "scp -t",
        "scp -t a b",
        "scp -t -f a",
        "scp -S evil -t a",
        "scp -t $HOME/x",
        "scp -t *.txt",
        "scp -f /srv/$(id)",
        "scp -f a -v",
        "scp -t a; rm b",
        "scp -t a > b",
        "X=1 scp -t a",
        "sudo scp -t a",
        "rsync -t a",
    ] {
        assert_eq!(Command::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn one_end_of_a_copy_in_whatever_form() {
    let is_end = |text: &str| {
        let words = shell::only_command(text.as_bytes()).unwrap_or_else(|| panic!("{text} is one command"));
        Command::is_end(&words)
    };
    for text in ["scp -t", "scp a -f", "/usr/bin/scp -S x -pf", "scp -l 100 -qt $X", "scp '-f' a b", "scp -ox=-- -f a"]
    {
        assert!(is_end(text), "{text}");
    }
    for text in
        ["scp a b:", "scp -oBatchMode=yes a b:", "scp -i -f a b:", "scp -P 22 a b:", "scp -- -t", "scp $X", "rscp -t a"]
    {
        assert!(!is_end(text), "{text}");
    }
}
