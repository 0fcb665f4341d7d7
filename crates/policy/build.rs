//! Copies the profiles without their white space for the module to hold: files are laid out for readers, and a fifth of them is layout.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../../profiles");
    let copies = env::var("OUT_DIR")?;
    for file in fs::read_dir("../../profiles")? {
        let file = file?;
        let profile: Value = serde_json::from_slice(&fs::read(file.path())?)?;
        fs::write(Path::new(&copies).join(file.file_name()), profile.to_string())?;
    }
    Ok(())
}
