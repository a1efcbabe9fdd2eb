//! Test of the page's lines for each kind of requirement.

use super::*;
use crate::{File, join};

const LIST: &str = "
RFC 9568 5.2.5: Address count
RFC 9568 5.2.5 erratum 8299 MUST: ignore a count of zero
    note: in version 3
    shown by: zero_is_ignored
RFC 9568 6.4.2: Backup
RFC 9568 6.4.2 MUST NOT: answer ARP requests
    kernel: it has no such address
RFC 9568 6.4.2 SHOULD: send three
    deviates: one is enough
    shown by: zero_is_ignored
RFC 3768 6.4.2: Backup
RFC 3768 6.4.2 MUST: ignore a count of zero
    same as: RFC 9568 5.2.5 erratum 8299 MUST: ignore a count of zero
";

const CODE: &str = "
fn parse() {
    // RFC 9568 5.2.5 erratum 8299 MUST: ignore a count of zero
    // RFC 9568 6.4.2 SHOULD: send three
}
#[cfg(test)]
mod tests {
    // RFC 9568 5.2.5 erratum 8299 MUST: ignore a count of zero
    // RFC 9568 6.4.2 SHOULD: send three
    #[test]
    fn zero_is_ignored() {}
}
";

#[test]
fn requirements_have_lines_below_their_sections() {
    let file = File {
        path: "daemon/proto/src/engine/mod.rs".to_owned(),
        text: CODE.to_owned(),
    };
    let (ledger, faults) = join(LIST, &[file]);
    assert_eq!(faults, []);
    let page = page(&ledger);
    let (_, page) = page.split_once("\n\n| ").unwrap();
    let code = "[engine/mod.rs: parse](../daemon/proto/src/engine/mod.rs)";
    let test = "[zero_is_ignored](../daemon/proto/src/engine/mod.rs)";
    let expected = format!(
        "\
| implemented | deviates | kernel | operator | not built | does not apply | all |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| RFC 9568 MUST | 1 |  | 1 |  |  |  | 2 |
| RFC 9568 SHOULD |  | 1 |  |  |  |  | 1 |
| RFC 3768 MUST | 1 |  |  |  |  |  | 1 |
| all | 2 | 1 | 1 |  |  |  | 4 |

## RFC 9568, VRRP version 3

With its verified errata 7947, 7949, 8298, 8299, 8300 and 8301.

### 5.2.5 Address count

| | requirement | code | test |
| --- | --- | --- | --- |
| MUST | ignore a count of zero (erratum 8299)<br>*in version 3* | {code} | {test} |

### 6.4.2 Backup

| | requirement | code | test |
| --- | --- | --- | --- |
| MUST NOT | answer ARP requests | **kernel**: it has no such address |  |
| SHOULD | send three | **deviates**: one is enough<br>{code} | {test} |

## RFC 5798, the former version 3

Only the differences from RFC 9568, which obsoletes it.

## RFC 3768, VRRP version 2

The version of the course.

### 6.4.2 Backup

| | requirement | code | test |
| --- | --- | --- | --- |
| MUST | ignore a count of zero<br>as RFC 9568 5.2.5 | {code} | {test} |
"
    );
    assert_eq!(page, expected);
}
