//! Link arguments of `libace_alloc.so` and `libace_alloc_counted.so`.

fn main() {
    // The answers never change. Both packages that run this have a file of this name.
    println!("cargo:rerun-if-changed=Cargo.toml");
    // Memory and handlers of the heap are in use until the process ends: dlclose must not unmap it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Each segment begins with a page of its own: fewer pages are written at load, and none is mapped twice.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,separate-loadable-segments");
    // A function that the library lacks must fail the build, not the programs.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
}
