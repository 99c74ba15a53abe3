//! Captures that released builds wrote: every later build opens them, undamaged.

use std::process::Command;

use anyhow::Result;

use super::{Row, Scene};

/// Verifies every bundled capture with the built program.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let captures = std::fs::read_dir(&scene.data)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "capture"));
    let (mut opened, mut whole) = (0, 0);
    for capture in captures {
        opened += 1;
        let verified = Command::new(&scene.operator).arg("verify").arg(&capture).output()?;
        whole += usize::from(verified.status.success());
    }
    Ok(vec![Row {
        tried: "bundled captures".to_owned(),
        seen: format!("{whole} of {opened} are whole"),
        holds: opened > 0 && whole == opened,
    }])
}
