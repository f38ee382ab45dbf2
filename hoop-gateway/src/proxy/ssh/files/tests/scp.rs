use super::*;

async fn exec(text: &str) -> Channel {
    Channel::open(CommandKind::Exec, text).await
}

#[tokio::test]
async fn an_upload_in_folders() {
    let channel = exec("scp -r -p -t /srv/").await;
    channel.answers(b"\0");
    for (line, log) in [
        (&b"T1 0 2 0\n"[..], &[][..]),
        (b"D0755 0 www\n", &["1 make-directory /srv/www"]),
        (b"C0644 3 index\n", &["1 done r0 w0", "2 write /srv/www/index"]),
        (b"hel", &[]),
    ] {
        channel.sends(line);
        let seen = channel.log();
        assert_eq!(seen, log);
        if line != b"hel" {
            channel.answers(b"\0");
        }
    }
    channel.sends(b"\0");
    channel.answers(b"\0");
    assert_eq!(channel.log(), ["2 done r0 w3 d6a8"]);
    channel.sends(b"E\n");
    channel.answers(b"\0");
    channel.sends(b"C0600 0 empty\n");
    channel.answers(b"\0");
    channel.sends(b"\0");
    channel.answers(b"\x01scp: disk full\n");
    assert_eq!(channel.log(), ["3 write /srv/empty", "3 done r0 w0 scp: disk full"]);
    assert!(channel.close().is_empty());
}

#[tokio::test]
async fn where_a_file_goes_may_be_one_of_two() {
    let channel = exec("scp -r -t /srv/x").await;
    channel.answers(b"\0");
    channel.sends(b"D0755 0 www\n");
    channel.answers(b"\0");
    channel.sends(b"C0644 0 index\n");
    assert_eq!(
        channel.log(),
        ["1 make-directory /srv/x -> /srv/x/www", "1 done r0 w0", "2 write /srv/x/index -> /srv/x/www/index"]
    );
    for (command, path) in
        [("scp -d -t /srv", "/srv/a"), ("scp -t .", "./a"), ("scp -t ~", "~/a"), ("scp -t /srv", "/srv -> /srv/a")]
    {
        let channel = exec(command).await;
        channel.answers(b"\0");
        channel.sends(b"C0644 0 a\n");
        assert_eq!(channel.log(), [format!("1 write {path}")]);
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_goes_on_with_the_next_file() {
    let channel = exec("scp -t -d /srv").await;
    channel.answers(b"\0");
    let (on, back) = channel.client(b"C0644 3 secret\n").await.expect("it goes on");
    assert_eq!((on, &back[..]), (Vec::new(), &b"\x01scp: it is secret; ask for it\n"[..]));
    channel.sends(b"C0644 3 a\n");
    channel.answers(b"\0");
    channel.sends(b"hel\0");
    channel.answers(b"\0");
    assert_eq!(
        channel.log(),
        ["1 write /srv/secret", "1 done r0 w0 denied: it is secret", "2 write /srv/a", "2 done r0 w3 d6a8"]
    );
}

#[tokio::test]
async fn a_download() {
    let channel = exec("scp -r -f /srv/data").await;
    channel.sends(b"\0");
    channel.answers(b"D0755 0 data\n");
    channel.sends(b"\0");
    let (to_target, to_client) = channel.target(b"C0644 9 secret\n").await.expect("it goes on");
    assert_eq!(to_target, b"\x01scp: it is secret; ask for it\n");
    assert_eq!(to_client, b"\x01scp: it is secret; ask for it\n");
    channel.answers(b"C0644 3 a\n");
    channel.sends(b"\0");
    channel.answers(b"he");
    channel.answers(b"l\0");
    channel.sends(b"\0");
    channel.answers(b"\x01scp: b: Permission denied\nE\n");
    channel.sends(b"\0");
    assert_eq!(
        channel.log(),
        [
            "1 list /srv/data",
            "1 done r0 w0",
            "2 read /srv/data/secret",
            "2 done r0 w0 denied: it is secret",
            "3 read /srv/data/a",
            "3 done r3 w0 d6a8",
        ]
    );
}

#[tokio::test]
async fn a_client_that_does_not_want_a_file_gets_none() {
    let channel = exec("scp -f a").await;
    channel.sends(b"\0");
    channel.answers(b"C0644 3 a\n");
    channel.sends(b"\x01scp: read-only\n");
    assert_eq!(channel.log(), ["1 read a", "1 done r0 w0 scp: read-only"]);
    channel.answers(b"C0644 3 b\n");
    channel.sends(b"\0");
    channel.answers(b"he");
    channel.log();
    assert_eq!(channel.close(), ["2 done r2 w0 the channel ended before it was done"]);
}

#[tokio::test]
async fn who_does_not_keep_to_the_protocol_ends_the_channel() {
    for line in [&b"C0644 3 ../../etc/passwd\n"[..], b"E\n", b"hello\n", b"C0644 1 a\nx", b"T1 0 1 0\nT1 0 1 0\n"] {
        let upload = exec("scp -t /srv").await;
        upload.answers(b"\0");
        upload.client_fails(line, Code::ProtocolViolation);
        let download = exec("scp -f /srv/x").await;
        download.sends(b"\0");
        download.target_fails(line);
    }
    exec("scp -t /srv").await.client_fails(b"C0644 1 a\n", Code::ProtocolViolation);
    let upload = exec("scp -t /srv").await;
    upload.answers(b"\0");
    upload.target_fails(b"\0");
    let download = exec("scp -f /srv/x").await;
    download.client_fails(b"\0\0", Code::ProtocolViolation);
}
