//! JSON without allocation: numbers and text. Floor: adapter.

use crate::file::File;
use core::fmt::{self, Write};

/// A member that is an object of numbers, with a comma before it. Not inlined: once, not at each of its
/// callers.
///
/// # Errors
/// Those of `out`.
#[inline(never)]
pub fn write_numbers(out: &mut impl Write, name: &str, numbers: &[(&str, u64)]) -> fmt::Result {
    write!(out, ",\"{name}\":")?;
    write_object(out, numbers)
}

/// An object of numbers.
///
/// # Errors
/// Those of `out`.
pub fn write_object(out: &mut impl Write, numbers: &[(&str, u64)]) -> fmt::Result {
    let mut before = '{';
    for (name, number) in numbers {
        write!(out, "{before}\"{name}\":{number}")?;
        before = ',';
    }
    out.write_str(if before == '{' { "{}" } else { "}" })
}

/// A string. Bytes that are not ASCII, and those that JSON reserves, become `\u00XX`: correct for
/// Latin-1, readable for the rest.
///
/// # Errors
/// Those of `out`.
pub fn write_text(out: &mut impl Write, text: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    for &byte in text {
        match byte {
            b' '..=b'~' => {
                if matches!(byte, b'"' | b'\\') {
                    out.write_char('\\')?;
                }
                out.write_char(char::from(byte))?;
            }
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    out.write_char('"')
}

/// The name by which this program was started, as a string.
///
/// # Errors
/// Those of `out`.
pub fn write_program(out: &mut impl Write) -> fmt::Result {
    let mut name = [0; 4096];
    let words = File::read(c"/proc/self/cmdline", &mut name);
    write_text(out, words.split(|&byte| byte == 0).next().unwrap_or_default())
}
