//! Services with parsers of their own. Each answers with what it was asked for, once it has read the request as a whole.

use std::net::TcpStream;
use std::time::Duration;

use hoop_testkit::clients::made;
use hoop_testkit::{Folder, Guarded, Plan, find, free_port, until};

const NODE: &str = r#"
const http = require('http');
http.createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end(request.url));
}).on('upgrade', (request, socket) => {
  socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: ' + request.url.length + '\r\nConnection: close\r\n\r\n' + request.url);
}).listen(Number(process.argv[2]), '127.0.0.1');
"#;

/// It reads a request as a whole before it passes it on to itself.
const NGINX: &str = r"
worker_processes 1;
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path FOLDER/body;
  proxy_temp_path FOLDER/proxy;
  fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi;
  scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT;
    location / { proxy_pass http://unix:FOLDER/nginx.sock; }
  }
  server {
    listen unix:FOLDER/nginx.sock;
    default_type text/plain;
    location / { return 200 $request_uri; }
  }
}
";

const UVICORN: &str = r#"
async def app(scope, receive, send):
    assert scope['type'] == 'http'
    more = True
    while more:
        message = await receive()
        more = message.get('more_body', False)
        if message['type'] == 'http.disconnect':
            return
    query = scope['query_string']
    body = scope['raw_path'] + (b'?' + query if query else b'')
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', str(len(body)).encode())]})
    await send({'type': 'http.response.body', 'body': body})
"#;

/// A service that runs.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) port: u16,
    _process: Guarded,
    _folder: Folder,
}

pub(super) fn all() -> Vec<Server> {
    vec![nginx(), node(), uvicorn()]
}

fn node() -> Server {
    start("node", |folder, port| {
        let script = folder.join("server.cjs");
        std::fs::write(&script, NODE).expect("an own folder takes a file");
        vec![path(find("node", "nodejs")), path(script), port.to_string()]
    })
}

fn nginx() -> Server {
    start("nginx", |folder, port| {
        let settings = NGINX.replace("FOLDER", &path(folder.path().to_owned())).replace("PORT", &port.to_string());
        let file = folder.join("nginx.conf");
        std::fs::write(&file, settings).expect("an own folder takes a file");
        vec![path(find("nginx", "nginx-light")), "-c".to_owned(), path(file), "-e".to_owned(), "stderr".to_owned()]
    })
}

fn uvicorn() -> Server {
    start("uvicorn", |folder, port| {
        std::fs::write(folder.join("service.py"), UVICORN).expect("an own folder takes a file");
        let words =
            ["service:app", "--ws", "none", "--lifespan", "off", "--host", "127.0.0.1", "--port", &port.to_string()];
        let folder = ["--app-dir".to_owned(), path(folder.path().to_owned())];
        [path(made("http/bin/uvicorn"))].into_iter().chain(words.map(str::to_owned)).chain(folder).collect()
    })
}

fn start(name: &'static str, command: impl Fn(&Folder, u16) -> Vec<String>) -> Server {
    let (folder, port) = (Folder::new(name), free_port());
    let plan = Plan {
        name: name.to_owned(),
        command: command(&folder, port),
        environment: Vec::new(),
        stop: "TERM",
        folder: folder.path().to_owned(),
    };
    let process = Guarded::start(&plan);
    until(Duration::from_secs(120), name, || {
        assert!(process.is_alive(), "{name} ended: {}", process.log());
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Server { name, port, _process: process, _folder: folder }
}

fn path(path: std::path::PathBuf) -> String {
    path.display().to_string()
}
