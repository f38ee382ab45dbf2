//! A new migration is a new build: the folder is embedded.

fn main() {
    println!("cargo:rerun-if-changed=sqlite");
}
