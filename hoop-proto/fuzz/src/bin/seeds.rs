//! Writes the whole messages of the tests to `corpus/`, where fuzzing starts from them.

use std::fs;
use std::path::Path;

use hoop_proto_fuzz::checks::CHECKS;
use hoop_proto_fuzz::seeds::seeds;

fn main() -> std::io::Result<()> {
    for (name, _) in CHECKS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in seeds(name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{at:02}")), seed)?;
        }
    }
    Ok(())
}
