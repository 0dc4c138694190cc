//! Requirements files.

use comity_policy::rank::{Ranked, rank};
use comity_policy::relax::relaxations;
use comity_policy::requirements::{RequirementsFile, RequirementsTable, check};

use crate::world::{CALLER, INDEX, OFFER, OPERATOR, evaluated, request, said, survives, tables};

pub(crate) fn hold(text: &str) {
    let file = match RequirementsFile::from_toml(text, tables()) {
        Ok(file) => file,
        Err(error) => return said(error),
    };
    let table: RequirementsTable = toml::from_str(text).unwrap_or_else(|error| panic!("accepted, and {error}"));
    survives(&table);
    assert_eq!(table.expand(tables()).ok().as_ref(), Some(&file), "expanded to something else");
    assert_eq!(check(&file, tables()), Ok(()), "a broker would refuse what was accepted");
    assert_eq!(file.clone().meet(file.clone()), file, "what is demanded twice is another demand (L1)");

    let request = request(&CALLER, &file);
    let verdict = evaluated(&OFFER, &OPERATOR, &request);
    assert_eq!(INDEX.ask(&request).verdict(0, &request), verdict, "the index answers otherwise (L7)");
    for relaxed in relaxations(&INDEX, &request) {
        said(relaxed.constraint);
    }
    let ranked = Ranked { offer: &OFFER, latency_ms: Some(u64::MAX) };
    assert_eq!(rank(&[ranked, ranked], &file.prefer, tables(), request.as_of).len(), 2);
}
