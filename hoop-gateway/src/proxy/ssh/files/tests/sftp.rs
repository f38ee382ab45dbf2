use super::*;

const INIT: &[u8] = b"\0\0\0\x05\x01\0\0\0\x03";
const VERSION: &[u8] = b"\0\0\0\x05\x02\0\0\0\x03";

/// A packet of this type with this id and these fields.
fn packet(kind: u8, id: u32, fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let length = u32::try_from(fields.len() + 5).expect("a short one");
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), &fields].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).expect("a short one").to_be_bytes()[..], text.as_bytes()].concat()
}

fn open(id: u32, path: &str, flags: u32) -> Vec<u8> {
    packet(3, id, &[&text(path), &flags.to_be_bytes(), &[0; 4]])
}

fn read(id: u32, handle: &str, offset: u64, length: u32) -> Vec<u8> {
    packet(5, id, &[&text(handle), &offset.to_be_bytes(), &length.to_be_bytes()])
}

fn write(id: u32, handle: &str, offset: u64, data: &str) -> Vec<u8> {
    packet(6, id, &[&text(handle), &offset.to_be_bytes(), &text(data)])
}

fn close(id: u32, handle: &str) -> Vec<u8> {
    packet(4, id, &[&text(handle)])
}

fn status(id: u32, code: u32, message: &str) -> Vec<u8> {
    packet(101, id, &[&code.to_be_bytes(), &text(message), &text("en")])
}

fn handle(id: u32, handle: &str) -> Vec<u8> {
    packet(102, id, &[&text(handle)])
}

fn data(id: u32, data: &str) -> Vec<u8> {
    packet(103, id, &[&text(data)])
}

async fn greeted() -> Channel {
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    channel.sends(INIT);
    channel.answers(VERSION);
    channel
}

/// A channel with a file that is open as `h`.
async fn opened(path: &str, flags: u32) -> Channel {
    let channel = greeted().await;
    channel.sends(&open(1, path, flags));
    channel.answers(&handle(1, "h"));
    channel
}

#[tokio::test]
async fn a_file_that_is_read_in_order_has_a_hash() {
    let channel = opened("/a", 1).await;
    channel.sends(&[read(2, "h", 0, 2), read(3, "h", 2, 2), read(4, "h", 4, 2)].concat());
    channel.answers(&[data(2, "he"), data(3, "l")].concat());
    channel.sends(&read(5, "h", 3, 1));
    channel.answers(&[status(4, 1, ""), status(5, 1, "")].concat());
    channel.sends(&close(6, "h"));
    channel.answers(&status(6, 0, ""));
    // SHA-256 of `hel` begins so.
    assert_eq!(channel.log(), ["1 read /a", "1 done r3 w0 d6a8"]);
}

#[tokio::test]
async fn a_file_that_is_not_read_in_order_has_none() {
    for (requests, answers) in [
        ([read(2, "h", 0, 2), read(3, "h", 2, 2)], [data(3, "l"), data(2, "he")]),
        ([read(2, "h", 0, 2), read(3, "h", 0, 2)], [data(2, "he"), data(3, "he")]),
        ([read(2, "h", 0, 2), read(3, "h", 2, 9)], [data(2, "h"), data(3, "l")]),
        ([read(2, "h", 1, 2), read(3, "h", 3, 9)], [data(2, "he"), status(3, 1, "")]),
        ([read(2, "h", 0, 2), read(3, "h", 2, 9)], [data(2, "he"), data(3, "llo")]),
        ([read(2, "h", 0, 2), read(3, "h", 2, 9)], [data(2, "he"), status(3, 4, "bad disk")]),
    ] {
        let channel = opened("/a", 1).await;
        channel.sends(&requests.concat());
        channel.answers(&answers.concat());
        channel.sends(&close(6, "h"));
        channel.answers(&status(6, 0, ""));
        let log = channel.log();
        let done = log.last().expect("its end").trim_end_matches(" bad disk");
        assert!(done.starts_with("1 done r") && done.ends_with(" w0"), "{log:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_written_anew_has_a_hash() {
    for (flags, hash) in [(0x1a, " d6a8"), (0x2a, " d6a8"), (0x0a, ""), (0x1e, "")] {
        let channel = opened("/a", flags).await;
        for (id, piece) in [(2, write(2, "h", 0, "he")), (3, write(3, "h", 2, "l"))] {
            channel.sends(&piece);
            channel.answers(&status(id, 0, ""));
        }
        channel.sends(&close(6, "h"));
        channel.answers(&status(6, 0, ""));
        assert_eq!(channel.log(), ["1 write /a".to_owned(), format!("1 done r0 w3{hash}")]);
    }
    let channel = opened("/a", 0x1a).await;
    channel.sends(&[write(2, "h", 0, "he"), write(3, "h", 2, "l"), close(4, "h")].concat());
    channel.answers(&[status(2, 0, ""), status(3, 4, "disk full"), status(4, 0, "")].concat());
    assert_eq!(channel.log(), ["1 write /a", "1 done r0 w2 disk full"], "one write failed");
}

/// A request with this id is refused: the server is asked something else, and the client gets this.
async fn refused(channel: &Channel, request: &[u8], id: u32, code: u32, message: &str) {
    let impossible = packet(8, id, &[&text("refused by the gateway")]);
    assert_eq!(channel.client(request).await.expect("the session goes on"), (impossible, Vec::new()));
    let moved = channel.target(&status(id, 4, "Failure")).await.expect("the session goes on");
    assert_eq!(moved, (Vec::new(), status(id, code, message)));
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_server() {
    let channel = greeted().await;
    channel.sends(&packet(13, 1, &[&text("/a")]));
    refused(&channel, &open(2, "/secret", 0x1a), 2, 3, "it is secret; ask for it").await;
    refused(&channel, &packet(13, 3, &[&text("/secret")]), 3, 3, "it is secret; ask for it").await;
    channel.answers(&status(1, 2, "No such file"));
    // The handle that the client does not have does not work, and what it would write goes nowhere.
    refused(&channel, &write(4, "h", 0, "data"), 4, 4, "no such handle").await;
    assert_eq!(
        channel.log(),
        [
            "1 remove /a",
            "2 write /secret",
            "2 done r0 w0 denied: it is secret",
            "3 remove /secret",
            "3 done r0 w0 denied: it is secret",
            "1 done r0 w0 No such file",
        ]
    );
}

#[tokio::test]
async fn everything_that_changes_something_is_an_operation() {
    let channel = greeted().await;
    let attributes = |flags: u32| flags.to_be_bytes().to_vec();
    let extended = |id, name: &str, fields: &[&[u8]]| packet(200, id, &[&text(name), &fields.concat()]);
    let (a, b) = (text("a"), text("b"));
    let size = [&attributes(1)[..], &[0; 8]].concat();
    let size_and_mode = [&attributes(5)[..], &[0; 12]].concat();
    let requests = [
        (packet(18, 1, &[&a, &b]), "1 rename a -> b"),
        (extended(1, "posix-rename@openssh.com", &[&a, &b]), "2 rename a -> b"),
        (extended(1, "hardlink@openssh.com", &[&a, &b]), "3 link a -> b"),
        (packet(20, 1, &[&a, &b]), "4 link a -> b"),
        (packet(14, 1, &[&a, &attributes(0)]), "5 make-directory a"),
        (packet(15, 1, &[&a]), "6 remove-directory a"),
        (packet(9, 1, &[&a, &attributes(0)]), "7 set-attributes a"),
        (extended(1, "lsetstat@openssh.com", &[&a, &attributes(0)]), "8 set-attributes a"),
        (packet(9, 1, &[&a, &size]), "9 write a"),
        (packet(9, 1, &[&a, &size_and_mode]), "10 write a, 11 set-attributes a"),
        (packet(17, 1, &[&a]), ""),
        (packet(7, 1, &[&a]), ""),
        (packet(16, 1, &[&a]), ""),
        (packet(19, 1, &[&a]), ""),
        (extended(1, "statvfs@openssh.com", &[&a]), ""),
        (extended(1, "limits@openssh.com", &[]), ""),
        (extended(1, "expand-path@openssh.com", &[&a]), ""),
        (extended(1, "home-directory", &[&a]), ""),
        (extended(1, "users-groups-by-id@openssh.com", &[&a, &a]), ""),
    ];
    for (request, expected) in requests {
        channel.sends(&request);
        assert_eq!(channel.log().join(", "), expected);
        channel.answers(&status(1, 4, "no"));
        let ends = channel.log();
        assert_eq!(ends.len(), expected.split(", ").filter(|operation| !operation.is_empty()).count(), "{expected}");
        assert!(ends.iter().all(|end| end.ends_with("done r0 w0 no")), "{ends:?}");
    }
    let unknown = "the gateway does not know this extension, and cannot record it";
    refused(&channel, &extended(1, "check-file", &[b"anything"]), 1, 8, unknown).await;
}

#[tokio::test]
async fn open_files_are_changed_by_their_handles() {
    let channel = opened("/a", 1).await;
    channel.sends(&packet(10, 2, &[&text("h"), &4_u32.to_be_bytes(), &[0; 4]]));
    channel.answers(&status(2, 0, ""));
    channel.sends(&packet(10, 3, &[&text("h"), &1_u32.to_be_bytes(), &[0; 8]]));
    channel.answers(&status(3, 0, ""));
    assert_eq!(
        channel.log(),
        ["1 read /a", "2 set-attributes /a", "2 done r0 w0", "3 write /a", "3 done r0 w0"],
        "it is open to be read only"
    );
    channel.sends(&open(4, "/b", 0x1a));
    channel.answers(&handle(4, "i"));
    let copy = [text("copy-data"), text("h"), vec![0; 16], text("i"), vec![0; 8]].concat();
    channel.sends(&packet(200, 5, &[&copy]));
    channel.answers(&status(5, 0, ""));
    channel.sends(&close(6, "i"));
    channel.answers(&status(6, 0, ""));
    assert_eq!(channel.log(), ["4 write /b", "4 done r0 w0"], "nobody here has seen what was copied");
}

#[tokio::test]
async fn a_folder_is_one_operation() {
    let channel = greeted().await;
    channel.sends(&packet(11, 1, &[&text("/srv")]));
    channel.answers(&handle(1, "d"));
    channel.sends(&[packet(12, 2, &[&text("d")]), packet(12, 3, &[&text("d")]), close(4, "d")].concat());
    let names = packet(104, 2, &[&1_u32.to_be_bytes(), &text("x"), &text("-rw x"), &[0; 4]]);
    channel.answers(&[names, status(3, 1, ""), status(4, 0, "")].concat());
    assert_eq!(channel.log(), ["1 list /srv", "1 done r0 w0"]);
}

#[tokio::test]
async fn what_is_open_at_the_end_is_told() {
    let channel = opened("/a", 0x1a).await;
    channel.sends(&[write(2, "h", 0, "he"), write(3, "h", 2, "l"), packet(13, 4, &[&text("/b")])].concat());
    channel.answers(&status(2, 0, ""));
    let ended = "the channel ended before it was done";
    assert_eq!(channel.log(), ["1 write /a", "2 remove /b"]);
    assert_eq!(channel.close(), [format!("1 done r0 w2 {ended}"), format!("2 done r0 w0 {ended}")]);
    assert!(channel.close().is_empty(), "once");
}

#[tokio::test]
async fn a_later_version_is_not_offered() {
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    let moved = channel.client(b"\0\0\0\x05\x01\0\0\0\x06").await.expect("it goes on");
    assert_eq!(moved, (INIT.to_vec(), Vec::new()));
    channel.target_fails(b"\0\0\0\x05\x02\0\0\0\x06");
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    channel.client_fails(b"\0\0\0\x05\x01\0\0\0\x02", Code::Unsupported);
}

#[tokio::test]
async fn a_hostile_server_ends_its_channel() {
    let hostile = [
        status(7, 0, ""),
        data(2, "hello"),
        handle(2, "x"),
        status(2, 0, ""),
        packet(104, 2, &[&9_u32.to_be_bytes()]),
        VERSION.to_vec(),
        b"\xff\xff\xff\xff\x65".to_vec(),
        b"\0\0\0\x09\xaa\0\0\0\x02\0\0\0\0".to_vec(),
        b"Welcome to the machine!\n".to_vec(),
    ];
    for answer in hostile {
        let channel = opened("/a", 1).await;
        channel.sends(&read(2, "h", 0, 4));
        channel.target_fails(&answer);
    }
    let channel = opened("/a", 1).await;
    channel.sends(&open(2, "/b", 1));
    channel.target_fails(&handle(2, "h"));
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    channel.target_fails(VERSION);
    channel.sends(INIT);
    channel.target_fails(&status(1, 0, ""));
}

#[tokio::test]
async fn a_hostile_client_ends_its_channel() {
    for request in [
        read(2, "h", 0, 1).repeat(2),
        INIT.to_vec(),
        b"\xff\xff\xff\xff\x03".to_vec(),
        b"\0\0\0\x05\xaa\0\0\0\x01".to_vec(),
        b"ls -l\n".to_vec(),
    ] {
        let channel = opened("/a", 1).await;
        channel.client_fails(&request, Code::ProtocolViolation);
    }
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    channel.client_fails(&open(1, "/a", 1), Code::ProtocolViolation);
    let channel = opened("/a", 1).await;
    let requests: Vec<u8> = (10..10 + 4097).flat_map(|id| read(id, "h", 0, 1)).collect();
    channel.client_fails(&requests, Code::LimitExceeded);
}

#[tokio::test]
async fn files_that_are_open_are_bounded() {
    let channel = greeted().await;
    for id in 0..1024 {
        channel.sends(&open(id, "/a", 1));
        channel.answers(&handle(id, &id.to_string()));
    }
    refused(&channel, &open(1024, "/a", 1), 1024, 4, "too many files are open").await;
    channel.sends(&close(5, "5"));
    refused(&channel, &read(6, "5", 0, 1), 6, 4, "no such handle").await;
    channel.answers(&status(5, 0, ""));
    channel.sends(&open(7, "/a", 1));
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    let there = [INIT.to_vec(), open(1, "/a", 0x1a), write(2, "h", 0, "he"), close(3, "h")];
    let back = [VERSION.to_vec(), handle(1, "h"), status(2, 0, ""), status(3, 0, "")];
    for (request, reply) in there.iter().zip(&back) {
        let (mut sent, mut answered) = (Vec::new(), Vec::new());
        for byte in request {
            sent.extend(channel.client(&[*byte]).await.expect("it goes on").0);
        }
        for byte in reply {
            answered.extend(channel.target(&[*byte]).await.expect("it goes on").1);
        }
        assert_eq!((&sent, &answered), (request, reply));
    }
    assert_eq!(channel.log().len(), 2);
}
