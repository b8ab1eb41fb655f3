//! nginx as a reverse proxy. It signs nothing and checks nothing.

use std::path::Path;
use std::process::Command;

use xtask::Result;

use super::{Running, Site, folder, free_address, write_template};

const PROGRAM: &str = "/usr/sbin/nginx";

pub(super) fn start(site: &Site<'_>) -> Result<Running> {
    if !Path::new(PROGRAM).exists() {
        return Err(format!(
            "{PROGRAM} is missing; Debian's package nginx-light has it"
        ));
    }
    let address = free_address()?;
    let folder = folder(site, "nginx")?;
    let config = folder.join("nginx.conf");
    write_template(
        &config,
        include_str!("../../conf/nginx.conf"),
        &[
            ("FOLDER", &folder.display().to_string()),
            ("LISTEN", &address.to_string()),
            ("UPSTREAM", &site.upstream.to_string()),
        ],
    )?;
    let mut command = Command::new(PROGRAM);
    command
        .arg("-e")
        .arg(folder.join("nginx-errors.log"))
        .arg("-c")
        .arg(config);
    Running::start(command, site.core, address, folder.join("nginx.log"))
}
