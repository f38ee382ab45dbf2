//! Screens, and the lines that are read from them.

use super::*;

fn written(columns: u32, text: &str) -> Screen {
    let mut screen = Screen::new(columns, 24);
    screen.write(text.as_bytes(), |_| {});
    screen
}

#[test]
fn a_line_is_read_as_it_was_edited() {
    for (text, line) in [
        ("$ ls -l", "$ ls -l"),
        ("$ lx\x08s", "$ ls"),
        ("$ lsx\x08\x1b[K", "$ ls"),
        ("$ lsxx\x08 \x08\x08 \x08", "$ ls"),
        ("$ ls\x1b[D\x1b[D\x1b[1@e\x1b[2C!", "$ els!"),
        ("$ xls\x1b[3D\x1b[P", "$ ls"),
        ("\x1b[32m$\x1b[0m caf\u{e9} \u{6f22}x", "$ caf\u{e9} \u{6f22}x"),
        ("old\r\x1b[K$ new", "$ new"),
    ] {
        assert_eq!(written(80, text).line(), line, "{text:?}");
    }
}

#[test]
fn a_line_goes_on_over_rows_and_while_it_scrolls() {
    let mut screen = written(10, &"\r\n".repeat(30));
    screen.write(b"$ ", |_| {});
    let from = screen.cursor();
    screen.write(b"0123456789abcdef", |_| {});
    assert_eq!(screen.line_from(from), "0123456789abcdef");
    assert_eq!(screen.line(), "$ 0123456789abcdef");
    screen.write(b"\r\n\r\n", |_| {});
    assert_eq!(screen.line_from(from), "0123456789abcdef", "still near");
    screen.write(&b"\r\n".repeat(30), |_| {});
    assert_eq!(screen.line_from(from), "", "gone");
}

#[test]
fn a_line_feed_is_told_before_it_happens() {
    let mut lines = Vec::new();
    Screen::new(80, 24).write(b"one\r\ntwo\nthree", |screen| lines.push(screen.line()));
    assert_eq!(lines, ["one", "two"], "the second begins where the first did: after a carriage return");
}

#[test]
fn the_alternate_screen_is_known() {
    let mut screen = written(80, "\x1b[?1049h");
    assert!(screen.is_alternate());
    screen.write(b"\x1b[?1049l", |_| {});
    assert!(!screen.is_alternate());
}

#[test]
fn of_much_at_once_the_end_is_read() {
    let mut screen = written(80, "");
    screen.write_end(format!("\x1b[?1049h{}\r\n\x1b[?1049l{0}\r\n$ ls", "x".repeat(9_000)).as_bytes());
    assert_eq!((screen.line().as_str(), screen.is_alternate()), ("$ ls", false));
    screen.write_end(format!("\x1b[?1049h\n{}", "x\r\n".repeat(9_000)).as_bytes());
    assert!(screen.is_alternate());
}

#[test]
fn an_idle_terminal_is_small() {
    let mut usual = written(80, &"x".repeat(80).repeat(100));
    assert!(usual.size() < 4 << 10, "{} bytes", usual.size());
    usual.resize(u32::MAX, u32::MAX);
    usual.write(&b"x".repeat(100_000), |_| {});
    assert!(usual.size() < 20 << 10, "{} bytes", usual.size());
}
