//! Requests that can be read in one way, and what of them targets get. The text has the same marks as in `refused`.

/// A request as its target gets it, without the fields of the gateway itself.
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) fields: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
}

/// What is sent, and what comes of it.
pub(super) struct Passed {
    pub(super) name: &'static str,
    pub(super) sent: &'static str,
    pub(super) asked: &'static [Asked],
    /// Whether the connection goes on.
    pub(super) goes_on: bool,
}

const fn get(fields: &'static [(&'static str, &'static str)]) -> Asked {
    Asked { method: "GET", target: "$T", fields, body: "" }
}

const fn post(body: &'static str) -> Asked {
    Asked { method: "POST", target: "$T", fields: &[], body }
}

const fn pass(name: &'static str, sent: &'static str, asked: &'static [Asked]) -> Passed {
    Passed { name, sent, asked, goes_on: true }
}

const fn last(name: &'static str, sent: &'static str, asked: &'static [Asked]) -> Passed {
    Passed { name, sent, asked, goes_on: false }
}

pub(super) const PASSED: &[Passed] = &[
    pass("plain", "GET $T HTTP/1.1\r\n$H\r\n", &[get(&[])]),
    pass("an empty line before", "\r\nGET $T HTTP/1.1\r\n$H\r\n", &[get(&[])]),
    pass("a length of 0", "POST $T HTTP/1.1\r\n$HContent-Length: 0\r\n\r\n", &[post("")]),
    pass("a length", "POST $T HTTP/1.1\r\n$HContent-Length: 5\r\n\r\nhello", &[post("hello")]),
    pass("a length with zeros", "POST $T HTTP/1.1\r\n$HContent-Length: 005\r\n\r\nhello", &[post("hello")]),
    pass(
        "chunks",
        "POST $T HTTP/1.1\r\n$HTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        &[post("hello")],
    ),
    pass(
        "chunks with upper case",
        "POST $T HTTP/1.1\r\n$HTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
        &[post("0123456789")],
    ),
    pass(
        "chunks with extensions",
        "POST $T HTTP/1.1\r\n$HTransfer-Encoding: chunked\r\n\r\n5;a;b=c;d=\"e f\"\r\nhello\r\n0;z\r\n\r\n",
        &[post("hello")],
    ),
    pass(
        "fields behind chunks",
        "POST $T HTTP/1.1\r\n$HTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        &[post("hello")],
    ),
    pass(
        "a body that looks like a request",
        "POST $T HTTP/1.1\r\n$HContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\nX: y\r\n",
        &[post("GET /smuggled HTTP/1.1\r\nX: y\r\n")],
    ),
    pass(
        "chunks that look like a request",
        "POST $T HTTP/1.1\r\n$HTransfer-Encoding: chunked\r\n\r\n1e\r\nGET /smuggled HTTP/1.1\r\nX: y\r\n\r\n0\r\n\r\n",
        &[post("GET /smuggled HTTP/1.1\r\nX: y\r\n")],
    ),
    pass(
        "a body that looks like the end of chunks",
        "POST $T HTTP/1.1\r\n$HContent-Length: 5\r\n\r\n0\r\n\r\n",
        &[post("0\r\n\r\n")],
    ),
    pass(
        "three at once",
        "GET $T/1 HTTP/1.1\r\n$H\r\nPOST $T/2 HTTP/1.1\r\n$HContent-Length: 2\r\n\r\nhiGET $T/3 HTTP/1.1\r\n$H\r\n",
        &[
            Asked { target: "$T/1", ..get(&[]) },
            Asked { target: "$T/2", ..post("hi") },
            Asked { target: "$T/3", ..get(&[]) },
        ],
    ),
    pass(
        "an empty line between",
        "POST $T/1 HTTP/1.1\r\n$HContent-Length: 2\r\n\r\nhi\r\nGET $T/2 HTTP/1.1\r\n$H\r\n",
        &[Asked { target: "$T/1", ..post("hi") }, Asked { target: "$T/2", ..get(&[]) }],
    ),
    pass("HEAD", "HEAD $T HTTP/1.1\r\n$H\r\n", &[Asked { method: "HEAD", ..get(&[]) }]),
    pass("GET with a body", "GET $T HTTP/1.1\r\n$HContent-Length: 2\r\n\r\nhi", &[Asked { body: "hi", ..get(&[]) }]),
    pass(
        "DELETE with chunks",
        "DELETE $T HTTP/1.1\r\n$HTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        &[Asked { method: "DELETE", ..post("hi") }],
    ),
    pass("an absolute target", "GET http://$HOST$T HTTP/1.1\r\n$H\r\n", &[get(&[])]),
    pass("an absolute target with another scheme's case", "GET HTTP://$HOST$T HTTP/1.1\r\n$H\r\n", &[get(&[])]),
    pass(
        "a query",
        "GET $T?a=b&c=%0d%0a{}|^? HTTP/1.1\r\n$H\r\n",
        &[Asked { target: "$T?a=b&c=%0d%0a{}|^?", ..get(&[]) }],
    ),
    pass(
        "an encoded line's end",
        "GET $T%0d%0aX:%20y HTTP/1.1\r\n$H\r\n",
        &[Asked { target: "$T%0d%0aX:%20y", ..get(&[]) }],
    ),
    pass("HTTP/1.0 that is kept alive", "GET $T HTTP/1.0\r\n$HConnection: keep-alive\r\n\r\n", &[get(&[])]),
    last("HTTP/1.0", "GET $T HTTP/1.0\r\n$H\r\n", &[get(&[])]),
    last(
        "the last one, and one behind it",
        "GET $T HTTP/1.1\r\n$HConnection: close\r\n\r\nGET $S HTTP/1.1\r\n$H\r\n",
        &[get(&[])],
    ),
    pass("expected", "POST $T HTTP/1.1\r\n$HExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", &[post("hello")]),
    pass(
        "HTTP/2 by an upgrade",
        "GET $T HTTP/1.1\r\n$HConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "HTTP/2 by an upgrade with a body",
        "POST $T HTTP/1.1\r\n$HConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\nhi",
        &[post("hi")],
    ),
    pass("an unknown upgrade", "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: x\r\n\r\n", &[get(&[])]),
    pass("spaces around a value", "GET $T HTTP/1.1\r\n$HX: \t y z\t \r\n\r\n", &[get(&[("x", "y z")])]),
    pass("an empty value", "GET $T HTTP/1.1\r\n$HX:\r\n\r\n", &[get(&[("x", "")])]),
    // Fields that belong to the connection.
    pass(
        "fields of the connection",
        "GET $T HTTP/1.1\r\n$HKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX: y\r\n\r\n",
        &[get(&[("x", "y")])],
    ),
    pass(
        "fields that are named",
        "GET $T HTTP/1.1\r\n$HConnection: X-Mine, x-yours\r\nX-Mine: 1\r\nX-Yours: 2\r\nX: y\r\n\r\n",
        &[get(&[("x", "y")])],
    ),
    pass(
        "fields that cannot be named",
        "GET $T HTTP/1.1\r\n$HConnection: Cookie, Content-Type, X-Forwarded-For\r\nCookie: a=b\r\nContent-Type: a/b\r\n\r\n",
        &[get(&[("content-type", "a/b"), ("cookie", "a=b")])],
    ),
    // Fields that say who asks.
    pass(
        "spoofed addresses",
        "GET $T HTTP/1.1\r\n$HX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Client-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "spoofed addresses with underscores",
        "GET $T HTTP/1.1\r\n$HX_Forwarded_For: 6.6.6.6\r\nX_Forwarded-For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nx_forwarded_user: root\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "spoofed users",
        "GET $T HTTP/1.1\r\n$HX-Forwarded-User: root\r\nX-Forwarded-Email: root@a\r\nX-Forwarded-Groups: admins\r\nX-Remote-User: root\r\nRemote-User: root\r\nX-Auth-Request-User: root\r\nX-Forwarded-Client-Cert: Hash=1\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "impersonation",
        "GET $T HTTP/1.1\r\n$HImpersonate-User: root\r\nImpersonate-Group: system:masters\r\nImpersonate-Extra-x: y\r\nimpersonate_uid: 0\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "the gateway's own fields",
        "GET $T HTTP/1.1\r\n$HHoop-Identity: me\r\nhoop_identity: me\r\nX-Hoop-User: me\r\nHOOP-ANYTHING: me\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "another target by a field",
        "GET $T HTTP/1.1\r\n$HX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Original-Host: evil\r\nX-Forwarded-Prefix: /admin\r\n\r\n",
        &[get(&[])],
    ),
    pass(
        "framing with underscores",
        "POST $T HTTP/1.1\r\n$HTransfer_Encoding: chunked\r\nContent_Length: 99\r\nContent-Length: 2\r\n\r\nhi",
        &[post("hi")],
    ),
];
