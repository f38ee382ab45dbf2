//! Servers in other languages, from `tests/testkit/servers`. `tests/e2e/setup.sh` installs what they need.

use std::path::Path;

use super::wait_for;
use crate::clients::made;
use crate::{Folder, Guarded, Plan, find, free_port};

macro_rules! server {
    ($(#[$doc:meta])* $name:ident, $text:literal, $command:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            server: Guarded,
            _folder: Folder,
            /// Where it listens, on 127.0.0.1.
            pub port: u16,
        }

        impl $name {
            /// Starts one.
            ///
            /// # Panics
            /// When what it needs is not installed, or it is not ready within two minutes.
            pub fn start() -> Self {
                let (folder, port) = (Folder::new($text), free_port());
                let (command, environment): (Vec<String>, Vec<(String, String)>) = $command(port);
                let name = $text.to_owned();
                let plan = Plan { name, command, environment, stop: "TERM", folder: folder.path().to_owned() };
                let server = Guarded::start(&plan);
                wait_for($text, &server, port);
                Self { server, _folder: folder, port }
            }

            /// Its URL, without a slash at the end.
            pub fn url(&self) -> String {
                format!("http://127.0.0.1:{}", self.port)
            }

            /// The end of its log.
            pub fn log(&self) -> String {
                self.server.log()
            }
        }
    };
}

server! {
    /// A server of Node's. Any path gives back method, path, fields and body as JSON; `/chunked` three chunks, `/events` three
    /// events of a stream of them, `/early` 413 before the body is read, `/ws` a WebSocket (package `ws`) that says again what it
    /// hears.
    Node, "node", |port: u16| {
        let command = vec![find("node", "nodejs").display().to_string(), file("server.cjs"), port.to_string()];
        (command, vec![("NODE_PATH".to_owned(), made("node/node_modules").display().to_string())])
    }
}

server! {
    /// Uvicorn, with an application that answers as [`Node`] does, without `/early`.
    Uvicorn, "uvicorn", |port: u16| {
        let folder = Path::new(&file("app.py")).parent().expect("a folder").display().to_string();
        let words = ["app:app", "--host", "127.0.0.1", "--log-level", "info", "--app-dir", &folder, "--port", &port.to_string()];
        let mut command = vec![made("http/bin/uvicorn").display().to_string()];
        command.extend(words.map(str::to_owned));
        (command, vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())])
    }
}

server! {
    /// A web app of Node's: a page of several views, whose parts ask each other for all that pages ask for. `/asked` tells what was
    /// asked of it since that was last asked.
    Site, "site", |port: u16| {
        let command = vec![find("node", "nodejs").display().to_string(), file("site.cjs"), port.to_string()];
        (command, vec![("NODE_PATH".to_owned(), made("node/node_modules").display().to_string())])
    }
}

server! {
    /// A gRPC service of Python's, without a schema: `calls.v1.Calls` has `Echo`, `Slow`, which ends when it is given up, `Seen`,
    /// which says how many have begun and ended, `Fail`, `Count`, `Numbers` and `Shout`. Its messages are bytes.
    Calls, "calls", |port: u16| {
        let command = vec![made("web/bin/python").display().to_string(), file("calls.py"), port.to_string()];
        (command, vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())])
    }
}

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(name).display().to_string()
}
