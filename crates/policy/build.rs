//! Copies the profiles for the module and removes their white space, which is a fifth of the files. Writes the ranges of characters that
//! people do not see.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use regex_syntax::hir::{Class, HirKind};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../../profiles");
    let copies = env::var("OUT_DIR")?;
    for file in fs::read_dir("../../profiles")? {
        let file = file?;
        let profile: Value = serde_json::from_slice(&fs::read(file.path())?)?;
        fs::write(Path::new(&copies).join(file.file_name()), profile.to_string())?;
    }
    fs::write(Path::new(&copies).join("unseen.rs"), unseen_characters()?)?;
    Ok(())
}

/// Rust text: the constant `UNSEEN`. The properties are those of Unicode, so that no list is kept by hand.
fn unseen_characters() -> Result<String, Box<dyn Error>> {
    let class = regex_syntax::parse(r"[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}\p{Zl}\p{Zp}]")?;
    let HirKind::Class(Class::Unicode(class)) = class.kind() else { return Err("not a class of characters".into()) };
    let mut text = String::from("const UNSEEN: &[(char, char)] = &[");
    for range in class.ranges() {
        write!(text, "('\\u{{{:x}}}', '\\u{{{:x}}}'), ", u32::from(range.start()), u32::from(range.end()))?;
    }
    text.push_str("];\n");
    Ok(text)
}
