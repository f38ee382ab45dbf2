//! nginx.

use std::path::Path;

use super::wait_for;
use crate::{Folder, Guarded, Plan, find, free_port};

/// Files that it has: name and content.
const FILES: &[(&str, &str)] = &[
    ("index.html", "<!doctype html>\n<title>shop</title>\n<a href=\"/customers.json\">customers</a>\n"),
    ("customers.json", "[{\"name\":\"Ada\",\"mail\":\"ada@example.com\"}]\n"),
    ("digits.txt", "0123456789"),
];
/// The length of `large.txt`.
const LARGE_BYTES: usize = 1 << 20;

/// A running nginx. `/` are files, with ranges, validators and gzip: `index.html`, `customers.json`, `digits.txt` and a large one,
/// `large.txt`. `/proxy/` passes on to nobody: 502. `/moved` redirects to itself with its own host, `/cookie` sets a cookie for its own
/// host, and `/secret/` asks for the user `app` with the password `s3cret`.
#[derive(Debug)]
pub struct Nginx {
    server: Guarded,
    folder: Folder,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Nginx {
    /// Starts one.
    ///
    /// # Panics
    /// When nginx is not installed, or is not ready within two minutes.
    pub fn start() -> Self {
        let (folder, port) = (Folder::new("nginx"), free_port());
        init(folder.path(), port);
        let configuration = folder.join("nginx.conf").display().to_string();
        let prefix = folder.path().display().to_string();
        let plan = Plan {
            name: "nginx".to_owned(),
            command: [
                &find("nginx", "nginx-light").display().to_string(),
                "-p",
                &prefix,
                "-c",
                &configuration,
                "-e",
                "stderr",
            ]
            .map(str::to_owned)
            .into(),
            environment: Vec::new(),
            stop: "TERM",
            folder: folder.path().to_owned(),
        };
        let server = Guarded::start(&plan);
        wait_for("nginx", &server, port);
        Self { server, folder, port }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder of its files: what a test puts there is served.
    pub fn files(&self) -> std::path::PathBuf {
        self.folder.join("files")
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn init(folder: &Path, port: u16) {
    let files = folder.join("files");
    std::fs::create_dir(&files).expect("an own folder");
    let write = |path: std::path::PathBuf, text: &str| std::fs::write(path, text).expect("an own file is written");
    for (name, text) in FILES {
        write(files.join(name), text);
    }
    write(files.join("large.txt"), &"all work and no play makes jack a dull boy\n".repeat(LARGE_BYTES / 43));
    write(folder.join("users"), "app:{PLAIN}s3cret\n");
    write(folder.join("nginx.conf"), &configuration(folder, port));
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/html html; application/json json; text/plain txt; }}
    gzip on;
    gzip_min_length 100;
    gzip_proxied any;
    gzip_types text/plain application/json;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        location /proxy/ {{ proxy_pass http://127.0.0.1:1; }}
        location /secret/ {{ auth_basic shop; auth_basic_user_file {folder}/users; alias {folder}/files/; }}
        location = /moved {{ return 302 $scheme://$host:$server_port/digits.txt; }}
        location = /cookie {{ add_header Set-Cookie "sid=1; Domain=$host; Path=/; HttpOnly"; return 204; }}
    }}
}}
"#
    )
}
