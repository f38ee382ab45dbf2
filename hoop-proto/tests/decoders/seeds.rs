//! Whole messages, one of each kind: where the broken ones of the tests come from, and where fuzzing starts. Bytes that
//! once broke a decoder belong here too.

/// Inputs of a check that its decoders can read.
pub fn seeds(check: &str) -> Vec<Vec<u8>> {
    match check {
        "frames" => streams(),
        "startup" => first_packets(),
        "frontend" => frontend(),
        "backend" => backend(),
        "rows" => rows(),
        "copy" => copies(),
        "dsn" => keys(),
        "terminal" => terminals(),
        "sftp" => packets(),
        "scp" => copied_files(),
        "shell" => commands(),
        "reading" => escapes(),
        "json_strings" => documents(),
        "markup" => pages(),
        "parts" => parts(),
        "protobuf" => messages(),
        "charset" => encoded(),
        "http" => requests(),
        other => unreachable!("no check is called {other}"),
    }
}

fn streams() -> Vec<Vec<u8>> {
    vec![
        b"\x01Q\0\0\0\x0dselect 1\0S\0\0\0\x04P\0".to_vec(),
        b"\x07D\0\0\0\x06\0\0D\0\0\0\x06\0\0C\0\0\0\x0dSELECT 2\0Z\0\0\0\x05I".to_vec(),
        b"\x03d\0\0\0\x04\x01\xff\xff\xff\xff".to_vec(),
    ]
}

fn first_packets() -> Vec<Vec<u8>> {
    vec![
        b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(),
        b"\0\0\0\x08\x04\xd2\x16\x30".to_vec(),
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2akey!".to_vec(),
        b"\0\0\0\x1d\0\x03\0\0user\0ada\0database\0d\0\0".to_vec(),
        b"\0\0\0\x1a\0\x03\0\x02user\0ada\0_pq_.x\0\0\0".to_vec(),
    ]
}

fn frontend() -> Vec<Vec<u8>> {
    vec![
        b"select 1\0".to_vec(),
        b"name\0select $1\0\0\0".to_vec(),
        b"name\0select $1\0\0\x01\0\0\0\x17".to_vec(),
        b"portal\0name\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x02\0\0\0\x01".to_vec(),
        b"Sname\0".to_vec(),
        b"Pportal\0".to_vec(),
        b"portal\0\0\0\0\x64".to_vec(),
        b"\0\0\x06\xc5\0\x01\0\x01\0\x01\0\0\0\x01x\0\0".to_vec(),
        b"SCRAM-SHA-256\0\0\0\0\x05n,,n=".to_vec(),
        b"SCRAM-SHA-256\0\xff\xff\xff\xff".to_vec(),
    ]
}

fn backend() -> Vec<Vec<u8>> {
    vec![
        b"\0\0\0\0".to_vec(),
        b"\0\0\0\x05salt".to_vec(),
        b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0".to_vec(),
        b"\0\0\0\x0br=nonce".to_vec(),
        b"client_encoding\0LATIN1\0".to_vec(),
        b"\0\0\0\x2akey!".to_vec(),
        b"I".to_vec(),
        b"\0\x02id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01v\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
            .to_vec(),
        b"INSERT 0 3\0".to_vec(),
        b"SERROR\0VERROR\0C42P01\0Mno such table\0\0".to_vec(),
        b"\0\0\0\x2achannel\0payload\0".to_vec(),
        b"\x01\0\x02\0\x01\0\x01".to_vec(),
        b"\0\x03\0\0\0\0\0\x01_pq_.x\0".to_vec(),
    ]
}

fn rows() -> Vec<Vec<u8>> {
    vec![
        b"\0\x03\0\0\0\x02hi\xff\xff\xff\xff\0\0\0\0".to_vec(),
        b"\0\0\0\x02hi".to_vec(),
        b"D\0\0\0\x0c\0\x01\0\0\0\x02hiD\0\0\0\x0a\0\x01\xff\xff\xff\xff".to_vec(),
        b"V\0\0\0\x0a\0\0\0\x02hi".to_vec(),
    ]
}

fn copies() -> Vec<Vec<u8>> {
    vec![
        b"1\ta\\tb\\\\\\x41\\101\t\\N\t\n".to_vec(),
        b"1|nil|a\\|b\n".to_vec(),
        b"1,\"a,\"\"b\"\"\nc\",,\"\"\r\n".to_vec(),
        b"1;'a\\'b';nil;'nil'\n".to_vec(),
        b"\\.\n".to_vec(),
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02hi".to_vec(),
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02ex\0\x01\xff\xff\xff\xff".to_vec(),
        b"\xff\xff".to_vec(),
        b"d\0\0\0\x08a\tb\nd\0\0\0\x081,2\n".to_vec(),
    ]
}

fn keys() -> Vec<Vec<u8>> {
    let pinned = format!("grpcs://shop:hoopk_abc@gw.example.com:8010?mode=embedded&ca=sha256:{}", "0a".repeat(32));
    vec![
        pinned.into_bytes(),
        b"grpcs://shop:hoopk_abc@gw.example.com".to_vec(),
        b"grpc://shop:hoopk_abc@[::1]:1?mode=standard".to_vec(),
        b"grpc://shop:hoopk_abc@127.0.0.1".to_vec(),
    ]
}

fn terminals() -> Vec<Vec<u8>> {
    let written = [
        "$ ls\r\n\x1b[0m\x1b[01;34mbin\x1b[0m  caf\u{e9}\r\n$ ",
        "$ echo abcdefgh\x08\x1b[K\x08\x1b[1P\x1b[4hxy\x1b[3@z\r\n",
        "\x1b[?1049h\x1b[2J\x1b[1;1H~\x1b[24;80Hx\x1b[?1049l$ ",
        "\x1b]0;title\x07\x1b]52;c;aGk=\x1b\\\x1bP$qm\x1b\\\x1b[c\x1b[6n\u{9b}31m\u{9d}t\u{9c}",
        "\u{6f22}\u{5b57}\u{200b}\u{202e}\t\x0b\x1b7\x1b[5;5H\x1b8\x1bM\x1bD\x1bE\x1b[3J\x1b[9999999b",
    ];
    let sizes = [[27, 24, 3], [1, 2, 1], [255, 255, 7], [0, 0, 2]];
    written.iter().zip(sizes.iter().cycle()).map(|(written, size)| [size, written.as_bytes()].concat()).collect()
}

fn packets() -> Vec<Vec<u8>> {
    let packet = |body: &[u8]| {
        let mut packet = vec![5];
        packet.extend(u32::try_from(body.len()).expect("a short one").to_be_bytes());
        packet.extend(body);
        packet
    };
    vec![
        packet(b"\x01\0\0\0\x03"),
        packet(b"\x02\0\0\0\x03\0\0\0\x04name\0\0\0\x011"),
        packet(b"\x03\0\0\0\x01\0\0\0\x02/a\0\0\0\x1a\0\0\0\x04\0\0\x01\xa4"),
        packet(b"\x05\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\0\0\x80\0"),
        packet(b"\x06\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\0\0\0\x02hi"),
        packet(b"\x09\0\0\0\x01\0\0\0\x01a\x80\0\0\x0d\0\0\0\0\0\0\0\x09\0\0\0\x07\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x01n\0\0\0\x01v"),
        packet(b"\x12\0\0\0\x01\0\0\0\x01a\0\0\0\x01b"),
        packet(b"\xc8\0\0\0\x01\0\0\0\x09copy-data\0\0\0\x01a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01b\0\0\0\0\0\0\0\0"),
        packet(b"\xc8\0\0\0\x01\0\0\0\x12limits@openssh.com"),
        packet(b"\x65\0\0\0\x01\0\0\0\x03\0\0\0\x02no\0\0\0\x02en"),
        packet(b"\x66\0\0\0\x01\0\0\0\x01h"),
        packet(b"\x67\0\0\0\x01\0\0\0\x02hi"),
        packet(b"\x68\0\0\0\x01\0\0\0\x01\0\0\0\x01a\0\0\0\x01l\0\0\0\0"),
        packet(b"\x69\0\0\0\x01\0\0\0\0"),
    ]
}

fn copied_files() -> Vec<Vec<u8>> {
    vec![
        b"\x03T1700000000 0 1700000001 0\nC0644 2 a b\nhi\0E\n".to_vec(),
        b"\x02D0755 0 dir\nC0600 0 empty\n\0E\n".to_vec(),
        b"\x04C0644 3 refused\n\x01scp: no\n\x02gone\n".to_vec(),
        b"\x01\0\0\x01scp: no space\n\0".to_vec(),
        b"scp -r -p -t -- '/tmp/a b'".to_vec(),
        b"/usr/bin/scp -vf ~/*.txt".to_vec(),
    ]
}

fn commands() -> Vec<Vec<u8>> {
    vec![
        b"systemctl status 'a b' \"c\\$d\" e\\ f".to_vec(),
        b"A=1 B= env | sort -u >/tmp/x 2>&1 && echo `date` $(id -u; hostname) || true &".to_vec(),
        b"ls *.txt ~/x {a,b} $HOME \"$@\" ''; cat </etc/hosts &>>log\n".to_vec(),
    ]
}

fn escapes() -> Vec<Vec<u8>> {
    vec![
        b"\x02ada\\u0040x \\ud83d\\ude00 \\x40\\u{40}\\100\\n\\\"".to_vec(),
        b"\x03&#64;&#x40;&commat;&amp;&ampx&nbsp &#; &unknown;".to_vec(),
        b"\x01a=%40+b&c=%zz%4".to_vec(),
    ]
}

fn documents() -> Vec<Vec<u8>> {
    vec![
        b"{\"a\": [\"b\\\"c\", 1, \"\\\\\"], \"d\": \"e".to_vec(),
        b"{\"a\":\"x\n{\"a\":\"y\\\n\"}\n".to_vec(),
        b"[\"\"]\"\\".to_vec(),
    ]
}

fn pages() -> Vec<Vec<u8>> {
    vec![
        b"\x02<!doctype html><p class=\"a>b\" id='c' d=e>f<br/>g</p><!-- h --><!--><script>a<b</scrip</script>&#64;"
            .to_vec(),
        b"\x03<?xml version='1.0'?><a:b c=\"d\"/><![CDATA[ ]] > ]]>e</a:b>< f".to_vec(),
        b"\x01<STYLE>a{}</Style ><?php ?></><x y = 'z'".to_vec(),
    ]
}

fn parts() -> Vec<Vec<u8>> {
    vec![
        b"\x02before\r\n--b\r\nA: 1\r\n\r\none\r\n--bx\r\n--b  \r\n\r\n\r\n--b--\r\nafter".to_vec(),
        b"\x01--b\n\n--b--".to_vec(),
    ]
}

fn messages() -> Vec<Vec<u8>> {
    vec![
        b"\x08\x96\x01\x12\x07testing\x1d\x01\x02\x03\x04\x21\x01\x02\x03\x04\x05\x06\x07\x08".to_vec(),
        b"\x0b\x12\x02hi\x0c\x1a\x03\x08\x96\x01".to_vec(),
    ]
}

fn encoded() -> Vec<Vec<u8>> {
    vec![b"\x03\xff\xfea\0\xe9\0".to_vec(), b"\x01\x3d\xd8\x00\xdea\0".to_vec()]
}
fn requests() -> Vec<Vec<u8>> {
    vec![
        b"\x05GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\nHEAD http://a/ HTTP/1.0\r\nhost: A \r\n\r\n".to_vec(),
        b"\x01POST / HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x0bPUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b;c=\"d\"\r\nhi\r\n0a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
            .to_vec(),
        b"\x02GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00".to_vec(),
        b"\x04CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x03OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nUpgrade: h2c\r\n\r\n".to_vec(),
        b"\x02PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        b"\x01\x16\x03\x01\x02\0\x01".to_vec(),
        b"\x07POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nHTTP".to_vec(),
    ]
}
