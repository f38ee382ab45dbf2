use super::*;

/// Commands in a form to compare: words in brackets, `?` for what is not known.
fn shown(text: &str) -> Option<String> {
    let word = |word: &Word| {
        let parts = word.parts.iter().map(|part| match part.known {
            true => String::from_utf8_lossy(&part.text).into_owned(),
            false => "?".to_owned(),
        });
        format!("[{}]", parts.collect::<String>())
    };
    let command = |command: &Command| match command {
        Command::Redirect(operator, file) => format!("{operator}{}", word(file)),
        Command::Simple(simple) => {
            let assignments = simple.assignments.iter().map(|assignment| format!("{}=", word(assignment)));
            assignments.chain(simple.words.iter().map(word)).collect()
        }
    };
    Some(commands(text.as_bytes())?.iter().map(command).collect::<Vec<_>>().join(" "))
}

#[test]
fn what_is_sure_is_read() {
    for (text, expected) in [
        ("ls", "[ls]"),
        ("  ls\t-l \n", "[ls][-l]"),
        (
            r#"r''m "-r"f \/ 'a'\''b' "" "\$x\n" a\
b"#,
            r"[rm][-rf][/][a'b][][$x\n][ab]",
        ),
        ("a;b&&c||d|e&f\ng", "[a] [b] [c] [d] [e] [f] [g]"),
        ("a &&\n b", "[a] [b]"),
        ("echo $HOME/x \"a$1b\" $$", "[echo][?/x][a?b][?]"),
        ("a $(b `c`; d) e", "[c] [b][?] [d] [a][?][e]"),
        ("a \"$(b \"c d\")\"", "[b][c d] [a][?]"),
        ("a >b 2>&1 <c 3<>d >|e &>f", ">[b] <[c] <>[d] >|[e] &>[f] [a]"),
        (">x", ">[x]"),
        ("A=1 B=$x c=d e=f", "[A=1]=[B=?]=[c=d]=[e=f]="),
        ("A=1 cmd B=2", "[A=1]=[cmd][B=2]"),
        ("ls *.c a?b [ab] ~ ~ada/x --to=~/y", "[ls][?.c][a?b][?ab]][?][?/x][--to=?/y]"),
        ("x{a,b}c {a,b}", "[x?][?]"),
        ("find . -name x -exec rm {} +", "[find][.][-name][x][-exec][rm][?][+]"),
        ("echo 2 >x", ">[x] [echo][2]"),
    ] {
        assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_not_sure_is_not() {
    for text in [
        "",
        " ",
        "if a; then b; fi",
        "for a in b; do c; done",
        "{ a; }",
        "(a)",
        "f() { a; }",
        "! a",
        "time a",
        "a <<x\nb\nx",
        "a <<<b",
        "a <(b)",
        "a ${b}",
        "a $((1))",
        "a $'b'",
        "a 'b",
        "a \"b",
        "a `b",
        "a `b \\` c`",
        "a $(b",
        "a)",
        "a;;b",
        ";a",
        "a &&",
        "a | | b",
        "a |& b",
        "a # b",
        "a > ",
        "a >&$x <&$y",
        "a &>b c",
        "a[0]=b rm",
        "a \0",
        "a \r b",
        "a !!",
        "a *(e:b:)",
    ] {
        assert_eq!(shown(text), None, "{text:?}");
    }
    let deep = format!("{}a{}", "$(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(shown(&deep), None);
    assert_eq!(shown(&format!("{}a{}", "a $(".repeat(9), ")".repeat(9))), None);
    assert!(shown(&format!("{}a{}", "a $(".repeat(8), ")".repeat(8))).is_some());
}
