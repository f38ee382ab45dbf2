//! A fixed corpus: what each detector must find whole, and what it must leave alone. And what holds for any bytes.

use std::ops::Range;

use hoop_core::Hit;
use proptest::prelude::*;

use super::{Builtin, Detectors};

fn found(builtin: Builtin, text: &str) -> Vec<String> {
    let mut hits = Vec::new();
    Detectors::new([builtin], []).find(text.as_bytes(), &mut hits);
    hits.iter().map(|hit| text[hit.start..hit.end].to_owned()).collect()
}

/// In `yes` the part to be found stands between `«` and `»`, or is the whole.
fn check(builtin: Builtin, yes: &str, no: &str) {
    let mut wrong = Vec::new();
    for line in yes.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let wanted = line.split_once('«').and_then(|(_, rest)| rest.split_once('»')).map_or(line, |(wanted, _)| wanted);
        let text = line.replace(['«', '»'], "");
        if found(builtin, &text) != [wanted] {
            wrong.push(format!("{line}: {:?}", found(builtin, &text)));
        }
    }
    for line in no.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !found(builtin, line).is_empty() {
            wrong.push(format!("{line}: {:?}, though it is none", found(builtin, line)));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", builtin.as_str());
}

#[test]
fn email() {
    check(
        Builtin::Email,
        "ada@example.com
        ADA@EXAMPLE.COM
        ada.lovelace@example.co.uk
        ada+tag@example.com
        a@b.io
        ada_l@sub.sub.example.org
        o'neil@example.ie
        1234@example.com
        Ada <«ada@example.com»>
        mail «ada@example.com», please
        («ada@example.com»)
        «ada@example.com».
        mailto:«ada@example.com»
        x=«ada@example.com»&y=1
        \"«ada@example.com»\"
        ada%dept@example.com
        ada-l@ex-ample.com
        ada@xn--bcher-kva.example
        jörg@bücher.example
        «ada@example.museum»:8080
        «ada@example.com4242424242424242» glued
        Key (email)=(«ada@example.com») already exists.
        '«ada@example.com»'::text
        {«ada@example.com»,x}
        ada@123.example.com
        [«ada@example.com»]
        ada@example.travel",
        "ada@localhost
        @mention
        ada@
        ada at example.com
        a@b
        @example.com
        ada@example
        ada@example.c
        foo@1.2.3
        @scope/package@1.2.3
        logo@2x.png
        icon@3x.jpg
        user@10.0.0.1
        a @ b.com
        ada@-example
        ada@.com
        ada@@
        ..@example.com
        SELECT @x.y
        2024-01-01@10:00",
    );
}

#[test]
fn card() {
    check(
        Builtin::Card,
        "4111111111111111
        4111 1111 1111 1111
        4111-1111-1111-1111
        4012888888881881
        4222222222222
        5555555555554444
        5105105105105100
        5555 5555 5555 4444
        2223003122003222
        2223 0031 2200 3222
        378282246310005
        3782 822463 10005
        371449635398431
        3714-496353-98431
        378734493671000
        6011111111111117
        6011000990139424
        6011 1111 1111 1117
        30569309025904
        3056 930902 5904
        38520000023237
        3530111333300000
        3566002020360505
        3566-0020-2036-0505
        6200000000000005
        card «4111111111111111» ok
        («4111 1111 1111 1111»)
        no:«5555555555554444».
        {«4111111111111111»}
        \"«378282246310005»\"
        1 «4111 1111 1111 1111» 2",
        "4111111111111112
        4111 1111 1111 1112
        1234567890123456
        1700000000000
        1700000000000000
        1234567890123456789
        0000000000000000
        411111111111111
        41111111111111111
        a4111111111111111
        4111111111111111b
        _4111111111111111
        0.4111111111111111
        4111111111111111.5
        4111  1111  1111  1111
        4111.1111.1111.1111
        550e8400-e29b-41d4-a716-446655440000
        d41d8cd98f00b204e9800998ecf8427e
        2024-01-15 10:20:30
        9999999999999995
        1999999999999999",
    );
}

#[test]
fn ssn() {
    check(
        Builtin::Ssn,
        "078-05-1120
        219-09-9999
        123-45-6789
        001-01-0001
        899-99-9999
        665-12-3456
        667-12-3456
        SSN: «123-45-6789»
        («123-45-6789»)
        «123-45-6789».
        «123-45-6789», next
        '«123-45-6789»'
        {«123-45-6789»}
        =«123-45-6789»;
        a «123-45-6789» b
        772-10-1001
        457-55-5462
        536-90-4399
        514-14-8905
        212-09-7694",
        "000-12-3456
        666-12-3456
        900-12-3456
        999-99-9999
        123-00-6789
        123-45-0000
        123456789
        1123-45-6789
        123-45-67890
        123-45-678
        12-345-6789
        2024-01-15
        123-45-6789-1
        1-123-45-6789
        a123-45-6789
        123-45-6789b
        123.45.6789
        123-456-7890
        123–4–6789
        550e8400-e29b-41d4-a716-446655440000",
    );
}

#[test]
fn iban() {
    check(
        Builtin::Iban,
        "DE89370400440532013000
        DE89 3704 0044 0532 0130 00
        GB82WEST12345698765432
        GB82 WEST 1234 5698 7654 32
        FR1420041010050500013M02606
        FR14 2004 1010 0505 0001 3M02 606
        NL91ABNA0417164300
        NL91 ABNA 0417 1643 00
        ES9121000418450200051332
        IT60X0542811101000000123456
        CH9300762011623852957
        AT611904300234573201
        BE68539007547034
        BE68 5390 0754 7034
        NO9386011117947
        SE4550000000058398257466
        DK5000400440116243
        FI2112345600000785
        PL61109010140000071219812874
        PT50000201231234567890154
        IE29AIBK93115212345678
        LU280019400644750000
        CZ6508000000192000145399
        GR1601101250000000012300695
        SA0380000000608010167519
        TR330006100519786457841326
        pay «DE89370400440532013000» now
        («GB82WEST12345698765432»)
        «DE89370400440532013000».",
        "DE88370400440532013000
        DE8937040044053201300
        DE893704004405320130000
        XX89370400440532013000
        XDE89370400440532013000
        DE89-3704-0044-0532-0130-00
        GB82WEST12345698765433
        AB12CD34
        D41D8CD98F00B204E9800998ECF8427E
        DE89
        DE89 37
        BE68539007547035
        DE89  3704 0044 0532 0130 00
        NO9386011117948
        FR1420041010050500013M02607
        order DE12345
        ISO8601",
    );
}

#[test]
fn phone() {
    check(
        Builtin::Phone,
        "+14155552671
        +442079460958
        +44 20 7946 0958
        +1 415 555 2671
        +1 (415) 555-2671
        +1-415-555-2671
        +33 6 12 34 56 78
        +49 30 123456
        +49 171 1234567
        +5511987654321
        +55 11 98765-4321
        +81 90-1234-5678
        +91 98765 43210
        +358 40 1234567
        (415) 555-2671
        (415)555-2671
        415-555-2671
        415.555.2671
        415 555 2671
        1-415-555-2671
        020 7946 0958
        07911 123456
        0171 1234567
        030 12345678
        090-1234-5678
        0412 345 678
        06 12 34 56 78
        06.12.34.56.78
        06-12-34-56-78
        (11) 98765-4321
        tel: «+14155552671».
        call «415-555-2671», please
        <«+44 20 7946 0958»>",
        "4155552671
        14155552671
        1700000000
        1700000000000
        3.14159265358979
        415.5552671
        1234567890
        0171234567
        2024-01-15 10:20:30+00
        2024-01-15T10:20:30.123456+05:30
        2024-01-15 10:20:30.123-0800
        15-01-2024
        192.168.100.200
        1.415.555
        115-555-2671
        415-155-2671
        415-511-2671
        415-555-26711
        x415-555-2671
        550e8400-e29b-41d4-a716-446655440000
        415-555.2671
        1+2
        +1
        +0000000000
        100.200.3000
        123-45-6789
        12,345,678.90
        $415.555.2671
        d41d8cd98f00b204e9800998ecf8427e
        2024.01.15 10.20.30
        4111 1111 1111 1111",
    );
}

#[test]
fn ip() {
    check(
        Builtin::Ipv4,
        "10.0.0.1
        192.168.100.200
        255.255.255.255
        0.0.0.0
        http://«10.0.0.1»/x
        «10.0.0.1»:8080
        «10.0.0.1»/24
        («10.0.0.1»)
        from «172.16.254.1» to
        8.8.8.8
        «8.8.8.8».
        ::ffff:«10.0.0.1»
        \"«127.0.0.1»\"
        host=«127.0.0.1»,
        -«1.2.3.4»",
        "256.1.1.1
        1.2.3
        1.2.3.4.5
        1.2.3.456
        01.2.3.4
        1.02.3.4
        v1.2.3.4
        1.2.3.4a
        1.2..3
        1.2.3.
        10:20:30.123
        3.14
        1.2.3.4567
        1,2,3,4
        1. 2. 3. 4.
        2024.01.15",
    );
    check(
        Builtin::Ipv6,
        "2001:db8::1
        2001:0db8:85a3:0000:0000:8a2e:0370:7334
        2001:DB8:85A3:0:0:8A2E:370:7334
        fe80::1
        ::1
        2001:db8::
        ::ffff:10.0.0.1
        64:ff9b::192.0.2.33
        [«2001:db8::1»]:443
        «fe80::1»%eth0
        («2001:db8::1»)
        «2001:db8::1»/64
        host=«2001:db8::1»,
        «fe80::1».",
        "10:20:30
        2024-01-15 10:20:30
        aa:bb:cc:dd:ee:ff
        a::text
        std::string
        '1'::int
        x::date
        ::
        12:34:56:78
        1:2:3:4:5:6:7
        fe80:::1
        2001:db8::1::2
        dead::beef::1
        face::add
        g::1
        12345::1
        {\"a\":1,\"b\":{\"c\":2}}
        00:11:22:33:44:55:66",
    );
}

#[test]
fn tokens() {
    check(
        Builtin::Jwt,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl
        Bearer «eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.»",
        "eyJhbGciOiJIUzI1NiJ9
        eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0
        eyJ.eyJ.eyJ
        aeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    );
    // Written in two parts, so that nobody takes them for real ones.
    let key = |prefix: &str, rest: &str, times| format!("{prefix}{}", rest.repeat(times));
    let keys = [
        key("AK", "IA2345ABCD2345WXYZ", 1),
        key("gh", "p_", 1) + &"a1B2".repeat(9),
        key("gl", "pat-", 1) + &"a1B2c".repeat(4),
        key("xox", "b-", 1) + "1234567890-abcdefghij",
        key("AI", "za", 1) + &"a1B2c".repeat(7),
        key("sk", "_live_", 1) + &"a1B2".repeat(6),
        key("rk", "_live_", 1) + &"a1B2".repeat(6),
    ];
    for key in keys {
        check(Builtin::CloudKey, &format!("{key}\nx «{key}» y"), &format!("a{key}"));
    }
    let pem = format!("-----BEGIN {} KEY-----\nMIIB\n-----END {0} KEY-----", "PRIVATE");
    assert_eq!(found(Builtin::CloudKey, &format!("x {pem} y")), [pem.as_str()]);
    assert!(found(Builtin::CloudKey, "-----BEGIN CERTIFICATE-----\nMIIB").is_empty());
    let secret = format!("aws_secret_access_key = {}", "a1B2/".repeat(8));
    assert_eq!(found(Builtin::CloudKey, &secret), ["a1B2/".repeat(8)]);
}

#[test]
fn characters_that_look_like_ascii() {
    for (builtin, text) in [
        (Builtin::Card, "4111 1111 1111 1111"),
        (Builtin::Card, "4111\u{200b}1111\u{200b}1111\u{200b}1111"),
        (Builtin::Email, "ada@example.com"),
        (Builtin::Email, "ada\u{200d}@exam\u{2060}ple.com"),
        (Builtin::Ssn, "123\u{2011}45\u{2013}6789"),
        (Builtin::Card, "4\u{fe0f}111\u{34f}1111\u{202d}11111\u{202c}111"),
        (Builtin::Card, "4\u{301}1\u{20dd}11\u{ffa0}1111\u{2066}1111\u{e0020}111\u{e0101}1"),
        (Builtin::Email, "a\u{fe0e}da@exa\u{2069}mple.com"),
        (Builtin::Card, "4111\u{a0}1111\u{a0}1111\u{a0}1111"),
    ] {
        assert_eq!(found(builtin, text), [text], "{text:?}");
        assert_eq!(found(builtin, &format!("é {text} é")), [text], "{text:?}");
    }
}

/// Cells with the separators of rows around them: pieces that look like something, and any bytes.
fn cells() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[0-9 .:@+()a-fA-F-]{0,70}".prop_map(String::into_bytes),
        "[A-Z]{2}[0-9]{2}[ 0-9A-Z]{10,30}".prop_map(String::into_bytes),
        proptest::sample::select(vec![
            "ada@example.com",
            "4111 1111 1111 1111",
            "123-45-6789",
            "DE89370400440532013000",
            "+14155552671",
            "10.0.0.1",
            "2001:db8::1",
            "415-555-2671",
            "1:2:3:4:5:6:7:8",
            "４111111111111111",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let cell = proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    proptest::collection::vec(cell, 0..12)
}

proptest! {
    #[test]
    fn hits_are_in_order_and_inside(value in cells()) {
        let value = value.concat();
        let (mut hits, mut again) = (Vec::new(), Vec::new());
        Detectors::all().find(&value, &mut hits);
        Detectors::all().find(&value, &mut again);
        prop_assert_eq!(&hits, &again);
        let mut end = 0;
        for hit in &hits {
            prop_assert!(end <= hit.start && hit.start < hit.end && hit.end <= value.len());
            end = hit.end;
        }
    }

    #[test]
    fn a_scan_of_all_bytes_finds_what_a_scan_of_each_cell_finds(cells in cells()) {
        let all = Detectors::all();
        let mut bytes = Vec::new();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for cell in &cells {
            bytes.extend_from_slice(&u32::try_from(cell.len()).expect("short").to_be_bytes());
            ranges.push(bytes.len()..bytes.len() + cell.len());
            bytes.extend_from_slice(cell);
        }
        let mut wanted: Vec<Vec<Hit>> = Vec::new();
        for cell in &cells {
            let mut hits = Vec::new();
            all.find(cell, &mut hits);
            wanted.push(hits);
        }
        let mut got = vec![Vec::new(); cells.len()];
        all.find_in_cells(&bytes, ranges, |cell, hits| got[cell] = hits.to_vec());
        prop_assert_eq!(got, wanted);
    }
}
