//! Copies the profiles for the module and removes their white space, which is a fifth of the files.

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
