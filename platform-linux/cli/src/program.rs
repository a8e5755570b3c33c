//! Which file a program's name means, and whether a preloaded library can reach it. Floor: tool.
//!
//! LD_PRELOAD is a promise of the dynamic loader: a static program has none, one of another machine has
//! another, one that runs with raised privileges ignores it. Without a look at the file such a program
//! would run on the allocator it always had, and nobody would notice.

use crate::Trouble;
use std::{
    env,
    ffi::{CString, OsStr, OsString},
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// Interpreters of scripts may be scripts themselves; the kernel follows as many.
const MAX_SCRIPT_DEPTH: u32 = 5;

/// Finds the file that `name` means, as `execvp` does, and makes sure that it can run on the library.
pub fn find(name: &OsStr) -> Result<PathBuf, Trouble> {
    let path = look_up(name)?;
    examine(&path, MAX_SCRIPT_DEPTH)?;
    Ok(path)
}

fn look_up(name: &OsStr) -> Result<PathBuf, Trouble> {
    let shown = name.display();
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match path.metadata() {
            Err(error) => Err(Trouble::not_found(format_args!("{shown}: {error}"))),
            Ok(file) if file.is_dir() => {
                Err(Trouble::cannot_run(format_args!("{shown} is a folder")))
            }
            Ok(_) if !may_execute(&path) => {
                Err(Trouble::cannot_run(format_args!("{shown} is not executable")))
            }
            Ok(_) => Ok(path),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut found_but_not_executable = None;
    for folder in env::split_paths(&folders) {
        let path = folder.join(name);
        if name.is_empty() || !path.is_file() {
            continue;
        }
        if may_execute(&path) {
            return Ok(path);
        }
        found_but_not_executable.get_or_insert(path);
    }
    Err(match found_but_not_executable {
        Some(path) => Trouble::cannot_run(format_args!("{} is not executable", path.display())),
        None => Trouble::not_found(format_args!("{shown}: no such program in PATH")),
    })
}

fn may_execute(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: a valid C string.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
}

fn examine(path: &Path, depth: u32) -> Result<(), Trouble> {
    let shown = path.display();
    let io_trouble = |error| Trouble::cannot_run(format_args!("{shown} can't be read: {error}"));
    let file = File::open(path).map_err(io_trouble)?;
    if raises_privileges(&file.metadata().map_err(io_trouble)?) {
        return Err(Trouble::cannot_run(format_args!(
            "{shown} runs with raised privileges: the loader then ignores preloaded libraries"
        )));
    }
    let mut head = Vec::new();
    (&file).take(256).read_to_end(&mut head).map_err(io_trouble)?;
    if head.starts_with(b"\x7fELF") {
        return examine_elf(&file, &head)
            .map_err(|reason| Trouble::cannot_run(format_args!("{shown} {reason}")));
    }
    if depth == 0 {
        return Err(Trouble::cannot_run(format_args!(
            "{shown}: a script of a script of a script …"
        )));
    }
    match script_interpreter(&head) {
        Some(interpreter) => {
            let interpreter = look_up(&interpreter).map_err(|trouble| Trouble {
                message: format!("{shown} is a script: {}", trouble.message),
                exit_code: 126,
            })?;
            examine(&interpreter, depth - 1)
        }
        None => Err(Trouble::cannot_run(format_args!("{shown} is neither a program nor a script"))),
    }
}

fn raises_privileges(file: &fs::Metadata) -> bool {
    // SAFETY: these calls have no preconditions.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    (file.mode() & libc::S_ISUID != 0 && file.uid() != user)
        || (file.mode() & libc::S_ISGID != 0 && file.gid() != group)
}

/// What runs a script: the word after `#!`; behind `env` the program that it starts; the shell for a
/// text without such a line, as `execvp` does.
fn script_interpreter(head: &[u8]) -> Option<OsString> {
    let Some(line) = head.strip_prefix(b"#!") else {
        let text = !head.is_empty() && !head.contains(&0);
        return text.then(|| OsString::from("/bin/sh"));
    };
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()));
    let interpreter = words.next()?;
    if Path::new(&interpreter).file_name() != Some(OsStr::new("env")) {
        return Some(interpreter);
    }
    let is_setting = |word: &OsString| {
        let word = word.as_bytes();
        word.starts_with(b"-") || word.contains(&b'=')
    };
    words.find(|word| !is_setting(word)).or(Some(interpreter))
}

/// This machine in the terms of ELF.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "riscv64") {
    243
} else {
    0
};

const PT_INTERP: u32 = 3;

/// Looks for the loader's name among the program headers. `Err`: the end of a sentence that begins with
/// the program's name.
fn examine_elf(file: &File, head: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "is a broken ELF file";
    let (class, data) = (head.get(4).ok_or(BROKEN)?, head.get(5).ok_or(BROKEN)?);
    // Two: 64-bit. One: little-endian.
    if (*class, *data) != (2, 1) || u16_at(head, 18) != Some(MACHINE) {
        return Err("is built for another machine than this `ace`");
    }
    let first = u64_at(head, 32).ok_or(BROKEN)?;
    let (size, count) = (u16_at(head, 54).ok_or(BROKEN)?, u16_at(head, 56).ok_or(BROKEN)?);
    for index in 0..count {
        let offset = u64::from(index) * u64::from(size);
        let mut header = [0; 56];
        let place = first.checked_add(offset).ok_or(BROKEN)?;
        file.read_exact_at(&mut header, place).map_err(|_| BROKEN)?;
        if u32_at(&header, 0) == Some(PT_INTERP) {
            let (offset, bytes) = (u64_at(&header, 8), u64_at(&header, 32));
            return examine_loader(file, offset.ok_or(BROKEN)?, bytes.ok_or(BROKEN)?);
        }
    }
    Err(
        "is statically linked: it has its own allocator inside, and no loader that could replace it",
    )
}

fn examine_loader(file: &File, offset: u64, bytes: u64) -> Result<(), &'static str> {
    let mut name = vec![0; usize::try_from(bytes.min(4096)).unwrap_or(0)];
    file.read_exact_at(&mut name, offset).map_err(|_| "is a broken ELF file")?;
    if name.windows(7).any(|part| part == b"ld-musl") {
        return Err("is linked to musl; libace_alloc.so is built for glibc");
    }
    Ok(())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
