//! The kernel's text is taken by NVIDIA's assembler, where there is one. Floor: garden.

use std::process::Command;

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kernels.ptx");

#[test]
fn ptxas_takes_the_kernel_for_every_architecture_it_knows() {
    if Command::new("ptxas").arg("--version").output().is_err() {
        eprintln!("skipped: no ptxas on the PATH");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut taken = Vec::new();
    for architecture in ["sm_50", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"] {
        let mut ptxas = Command::new("ptxas");
        ptxas.arg(format!("-arch={architecture}")).arg(TEXT);
        let output = ptxas.arg("-o").arg(folder.path().join("out")).output().expect("ptxas runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        // Each release knows some of them.
        if said.contains("is not defined for option 'gpu-name'") {
            continue;
        }
        assert!(output.status.success(), "{architecture}: {said}");
        taken.push(architecture);
    }
    assert!(!taken.is_empty(), "this ptxas knows none of the architectures");
    eprintln!("taken for {taken:?}");
}
