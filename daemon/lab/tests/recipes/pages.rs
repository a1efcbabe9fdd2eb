//! All pages of docs/recipes.

use vrrp_lab::Host;
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::harness::Outcome;

use crate::page::Page;

pub(crate) fn configurations_of_each_page_fit_together() -> Outcome {
    let host = Host::new("host")?;
    let program = vrrpd_program()?.display().to_string();
    for page in Page::all()? {
        let mut command = vec![program.clone(), "check".to_owned()];
        for (index, configuration) in page.configurations().enumerate() {
            let path = format!("/run/{}-{index}.json", page.name);
            host.write(&path, configuration, 0o600)?;
            command.push(path);
        }
        // A page for which both hosts have the same file has one.
        let files = command.len() - 2;
        assert!(files > 0, "{}.md has no configuration", page.name);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = host.exec(&command)?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {output:?}", page.name);
        let fit = files == 1 || said.contains("2 hosts fit together");
        assert!(fit && !said.contains("warning"), "{}: {said}", page.name);
    }
    Ok(())
}

pub(crate) fn index_names_each_page() -> Outcome {
    let index = Page::read("README")?;
    for page in Page::all()? {
        assert!(index.links_to(&page), "no link to {}.md", page.name);
    }
    Ok(())
}
