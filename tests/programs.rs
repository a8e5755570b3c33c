//! Real programs on the library: each runs plainly and under `ace run`; output and exit code must be
//! equal, and the library must be mapped. Nothing is skipped: a missing program is a failure that
//! names its Debian package (`.ci/check programs` installs them all).

use ace_alloc_tests::house;
use ace_alloc_tests::programs::{
    Scratch, mapped_below, program, run, same_under_ace, start, under_ace,
};
use std::env;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// A file of `tests/real`.
fn real(name: &str) -> PathBuf {
    house::root().join("tests/real").join(name)
}

fn as_it_is(text: &str) -> String {
    text.into()
}

#[test]
fn python_works_with_json_threads_and_processes() {
    let python = program("python3", "python3");
    let arrange = |command: &mut Command, _: &Scratch| {
        command.arg(real("python_work.py"));
    };
    assert!(same_under_ace(&python, "python3", arrange, as_it_is).starts_with("5003 400000 "));
}

#[test]
fn python_passes_its_own_tests() {
    let python = program("python3", "python3");
    let there = run(Command::new(&python).args(["-c", "import test.test_json"]));
    assert_eq!(
        there.code, 0,
        "python's tests are missing: apt-get install libpython3.11-testsuite"
    );
    let subset = "test_json test_list test_dict test_set test_bytes test_array \
        test_memoryview test_gc test_weakref test_queue test_thread test_threading_local test_marshal \
        test_pickle test_re test_struct test_deque test_heapq test_itertools test_zlib test_fork1";
    let arrange = |command: &mut Command, _: &Scratch| {
        command.args(["-m", "test", "-u", "none"]).args(subset.split_whitespace());
    };
    let verdict = |text: &str| {
        let tells = |line: &&str| line.starts_with("All ") || line.contains("esult: ");
        text.lines().filter(tells).collect::<Vec<_>>().join("\n")
    };
    let verdict = same_under_ace(&python, "python3", arrange, verdict);
    assert!(verdict.contains("SUCCESS"), "{verdict}");
}

#[test]
fn perl_works() {
    let arrange = |command: &mut Command, _: &Scratch| {
        command.arg(real("perl_work.pl"));
    };
    let said = same_under_ace(&program("perl", "perl"), "perl", arrange, as_it_is);
    assert!(said.starts_with("20011 "), "{said}");
}

#[test]
fn git_makes_five_hundred_commits_and_packs_them() {
    let _ = program("git", "git");
    let arrange = |command: &mut Command, _: &Scratch| {
        command.arg(real("git_work.sh"));
    };
    let said = same_under_ace(&program("sh", "dash"), "git", arrange, as_it_is);
    assert!(said.contains("\n500\n") && said.contains("in-pack: 15"), "{said}");
}

/// A C file of more than 10,000 lines.
fn long_c_file() -> String {
    let mut text = String::from("#include <stdio.h>\nstruct point { int x, y; double w[4]; };\n");
    for number in 0..1000 {
        let _ = write!(
            text,
            "static double step{number}(struct point *p, int n) {{\n\
             \x20   double sum = {number};\n\
             \x20   for (int i = 0; i < n; i++) {{\n\
             \x20       p[i].x += p[i].y * {number} + i;\n\
             \x20       p[i].w[i & 3] = p[i].x * 0.5 - sum;\n\
             \x20       switch (p[i].x % 7) {{\n\
             \x20           case 0: sum += p[i].w[0]; break;\n\
             \x20           case 3: sum -= p[i].w[1]; break;\n\
             \x20           default: sum *= 1.0625;\n\
             \x20       }}\n\
             \x20   }}\n\
             \x20   return sum;\n}}\n"
        );
    }
    text += "int main(void) {\n    struct point p[8] = {{1, 2, {3}}};\n    double sum = 0;\n";
    for number in 0..1000 {
        let _ = writeln!(text, "    sum += step{number}(p, 8) > 0;");
    }
    text + "    printf(\"%.0f %d\\n\", sum, p[3].x);\n    return 0;\n}\n"
}

#[test]
fn gcc_compiles_a_long_file_to_the_same_object() {
    let _ = program("gcc", "gcc libc6-dev");
    let text = long_c_file();
    assert!(text.lines().count() >= 10_000);
    let script =
        "gcc -O1 -c long.c -o long.o && sha256sum < long.o && gcc long.o -o long && ./long";
    let arrange = |command: &mut Command, scratch: &Scratch| {
        let _ = scratch.write("long.c", &text);
        command.args(["-c", script]);
    };
    let said = same_under_ace(&program("sh", "dash"), "cc1", arrange, as_it_is);
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn cargo_builds_a_crate_and_runs_its_tests() {
    let cargo = env::var_os("CARGO").map_or_else(|| program("cargo", "cargo"), PathBuf::from);
    let arrange = |command: &mut Command, scratch: &Scratch| {
        let source = "pub fn words(text: &str) -> Vec<&str> {\n    text.split(' ').collect()\n}\n\n\
            #[test]\nfn two() {\n    assert_eq!(words(\"a b\").len(), 2);\n}\n";
        std::fs::create_dir(scratch.path().join("src")).expect("a folder");
        let manifest = "[package]\nname = \"words\"\nedition = \"2021\"\n[workspace]\n";
        let _ = (scratch.write("Cargo.toml", manifest), scratch.write("src/lib.rs", source));
        for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_MAKEFLAGS", "MAKEFLAGS"] {
            command.env_remove(name);
        }
        command.args(["test", "--offline", "--quiet", "-j2"]);
    };
    let verdict = |text: &str| {
        let lines = text.lines().filter_map(|line| line.split_once("; finished"));
        lines.map(|(line, _)| line).collect::<Vec<_>>().join("\n")
    };
    let said = same_under_ace(&cargo, "cargo", arrange, verdict);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn sqlite_works_through_a_million_rows() {
    let arrange = |command: &mut Command, _: &Scratch| {
        command.args(["-batch", "-init"]).arg(real("sqlite_work.sql")).args(["work.db", ".quit"]);
    };
    let said = same_under_ace(&program("sqlite3", "sqlite3"), "sqlite3", arrange, as_it_is);
    assert!(said.contains("1000000|") && said.ends_with("ok\n"), "{said}");
}

#[test]
fn node_works_with_buffers_and_workers() {
    let arrange = |command: &mut Command, _: &Scratch| {
        command.arg(real("node_work.js"));
    };
    let said = same_under_ace(&program("node", "nodejs"), "node", arrange, as_it_is);
    assert_eq!(said.split_whitespace().count(), 4, "{said}");
}

#[test]
fn xz_compresses_with_two_threads_to_the_same_bytes() {
    let _ = program("xz", "xz-utils");
    let script = "seq 1 3000000 > numbers && xz -T2 -2 --block-size=4MiB -k numbers \
        && sha256sum < numbers.xz && xz -T2 -dc numbers.xz | cmp - numbers && echo same";
    let arrange = |command: &mut Command, _: &Scratch| {
        command.args(["-c", script]);
    };
    let said = same_under_ace(&program("sh", "dash"), "xz", arrange, as_it_is);
    assert!(said.ends_with("same\n"), "{said}");
}

/// Runs a server through a benchmark and returns what the database holds afterwards.
fn redis(under: bool) -> String {
    let server = program("redis-server", "redis-server");
    let scratch = Scratch::new("redis");
    let socket = scratch.path().join("socket");
    let mut command = if under { under_ace(&server) } else { Command::new(&server) };
    command
        .current_dir(scratch.path())
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(&socket);
    let mut child = start(&mut command);
    for _ in 0..400 {
        if socket.exists() {
            break;
        }
        sleep(Duration::from_millis(25));
    }
    let ask = |tool: &str, arguments: &[&str]| {
        let tool = program(tool, "redis-tools");
        let mut command = if under { under_ace(tool) } else { Command::new(tool) };
        let outcome = run(command.arg("-s").arg(&socket).args(arguments));
        assert_eq!(outcome.code, 0, "{arguments:?}: {}{}", outcome.out, outcome.err);
        outcome.out
    };
    let mapped = mapped_below(child.id());
    assert_eq!(mapped.contains("redis-server"), under, "the library in the server: {mapped:?}");
    let tests = "set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset";
    let numbers =
        ask("redis-benchmark", &["-n", "40000", "-r", "5000", "-d", "100", "-t", tests, "--csv"]);
    assert!(numbers.lines().count() >= 11, "{numbers}");
    let _ = ask("redis-cli", &["flushall"]);
    let fill = "for i = 1, 50000 do redis.call('set', 'key' .. i, string.rep('v', i % 300)) \
        redis.call('lpush', 'list', i) redis.call('hset', 'hash', i % 5000, i) end \
        for i = 1, 50000, 3 do redis.call('del', 'key' .. i) end return redis.call('dbsize')";
    let mut held = ask("redis-cli", &["eval", fill, "0"]);
    let read = "local sum = 0 for i = 1, 50000 do local v = redis.call('get', 'key' .. i) \
        if v then sum = sum + #v * i end end return sum + redis.call('llen', 'list')";
    held += &ask("redis-cli", &["eval", read, "0"]);
    held += &ask("redis-cli", &["hget", "hash", "77"]);
    let _ = ask("redis-cli", &["memory", "purge"]);
    let mut stop = Command::new(program("redis-cli", "redis-tools"));
    let _ = run(stop.arg("-s").arg(&socket).args(["shutdown", "nosave"]));
    let status = child.wait().expect("a child of ours");
    assert_eq!(status.code(), Some(0), "exit code of the server, under ace: {under}");
    held
}

#[test]
fn redis_serves_its_benchmark() {
    let held = redis(false);
    assert_eq!(held, redis(true), "what the database holds");
    assert!(held.starts_with("33335\n"), "{held}");
}
