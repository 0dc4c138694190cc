use comity_types::Timestamp;

use super::blocs::{Membership, Reach, Scope};
use super::*;

fn membership(place: &str, set: &str, day: &str) -> Membership {
    let tables = Tables::builtin().unwrap();
    let day: Timestamp = day.parse().unwrap();
    tables
        .blocs
        .membership(&tables.places, &place.parse().unwrap(), &set.parse().unwrap(), Reach::Within, day)
        .membership
}

fn is_in(place: &str, set: &str, day: &str) -> bool {
    matches!(membership(place, set, day), Membership::Yes(_))
}

#[test]
fn the_tables_that_ship_can_be_read() {
    let tables = Tables::builtin().unwrap();
    for preset in &tables.presets {
        let error = preset.requirements.clone().expand(tables).err();
        assert!(error.is_none(), "{}: {error:?}", preset.name);
    }
    let purposes = tables
        .licences
        .iter()
        .flat_map(|rule| rule.excluded_purposes.iter().chain(rule.grants.iter().flat_map(|grant| &grant.purposes)));
    assert_eq!(purposes.filter(|purpose| !tables.purposes.knows(purpose)).count(), 0);
    let sets = tables.licences.iter().flat_map(|rule| rule.territory.iter().flat_map(|one| &one.excluded));
    let sets = sets.chain(tables.statutes.iter().flat_map(|row| &row.territory));
    for set in sets {
        assert!(
            set.place().map_or_else(|| tables.blocs.knows(set.as_str()), |place| tables.places.knows(place)),
            "{set}"
        );
    }
    for (_, rows) in tables.blocs.iter() {
        assert_eq!(rows.iter().find(|row| !tables.places.knows(&row.member)), None);
    }
    for regime in tables.regimes.iter() {
        assert!(regime.places.iter().all(|place| tables.places.knows(place)), "{}", regime.id);
    }
}

/// The names of a table's rows, as its file has them.
fn rows(table: TableName, row: &str, name: &str) -> Vec<String> {
    let file: toml::Table = toml::from_str(table.builtin()).unwrap();
    let mut names: Vec<_> =
        file[row].as_array().unwrap().iter().map(|row| row[name].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_row_of_a_table_is_listed() {
    let tables = Tables::builtin().unwrap();
    let list = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<Vec<_>>();
    use TableName::{Certifications, Classifications, Issuers, Licences, Purposes, Regimes, Statutes};
    let all = [
        (rows(Purposes, "purpose", "id"), list(&mut tables.purposes.iter().map(|(id, _)| id))),
        (rows(Regimes, "regime", "id"), list(&mut tables.regimes.iter().map(|row| row.id.as_str()))),
        (rows(Statutes, "use", "tag"), list(&mut tables.statutes.iter().map(|row| row.tag.as_str()))),
        (rows(Licences, "rule", "licence"), list(&mut tables.licences.iter().map(|row| row.licence.as_str()))),
        (
            rows(Certifications, "scheme", "scheme"),
            list(&mut tables.certifications.iter().map(|row| row.scheme.as_str())),
        ),
        (
            rows(Classifications, "scheme", "scheme"),
            list(&mut tables.classifications.iter().map(|row| row.scheme.as_str())),
        ),
        (rows(Issuers, "issuer", "id"), list(&mut tables.issuers.iter().map(|row| row.id.as_str()))),
    ];
    for (file, listed) in all {
        assert_eq!(file, listed);
    }
    assert_eq!(tables.places.countries().count(), 249);
    let equivalences = rows(Classifications, "equivalence", "scheme");
    assert_eq!(tables.classifications.equivalences().len(), equivalences.len());
    let (_, broader) = tables.purposes.iter().find(|(id, _)| *id == "dpv:CommercialResearch").unwrap();
    assert!(broader.contains("dpv:ResearchAndDevelopment"), "{broader:?}");
}

#[test]
fn a_table_has_the_name_of_its_file_and_says_what_it_holds() {
    for table in TableName::ALL {
        assert!(table.builtin().starts_with("# ") && !table.about().is_empty(), "{table:?}");
    }
}

#[test]
fn a_place_is_known_if_its_code_is_assigned() {
    let places = &Tables::builtin().unwrap().places;
    let knows = |text: &str| places.knows(&text.parse().unwrap());
    assert!(knows("DE") && knows("DE-HE") && knows("FR-GF") && knows("VA-1"));
    assert!(!knows("UK") && !knows("DE-XX") && !knows("UK-1") && !knows("DK-GL"));
    assert_eq!(places.parse_known("DE-HE").unwrap().as_str(), "DE-HE");
    assert!(places.parse_known("UK").unwrap_err().to_string().contains("GB"));
    assert_eq!(places.canonical(&"FR-GF".parse().unwrap()).as_str(), "GF");
    assert_eq!(places.canonical(&"FR-IDF".parse().unwrap()).as_str(), "FR-IDF");
}

#[test]
fn a_prohibition_reaches_a_place_of_which_a_part_is_in_the_set() {
    let row = "[[bloc]]\nbloc = 'CRIMEA'\nmember = 'UA-43'\nfrom = 2014-03-18\ninstrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = true\n";
    let tables = Tables::parse(|name| if name == TableName::Blocs { row } else { name.builtin() }).unwrap();
    let of = |place: &str, set: &str, reach, day: &str| {
        let (place, set, day) = (place.parse().unwrap(), set.parse().unwrap(), day.parse().unwrap());
        tables.blocs.membership(&tables.places, &place, &set, reach, day).membership
    };
    let begins = Membership::No(Some("2014-03-18".parse().unwrap()));
    for (place, within, overlap) in
        [("UA-43", true, true), ("UA", false, true), ("UA-30", false, false), ("DE", false, false)]
    {
        for (reach, inside) in [(Reach::Within, within), (Reach::Overlap, overlap)] {
            let expected = if inside { Membership::Yes(None) } else { Membership::No(None) };
            assert_eq!(of(place, "CRIMEA", reach, "2026-11-22"), expected, "{place} {reach:?}");
            assert_eq!(of(place, "UA-43", reach, "2026-11-22"), expected, "{place} {reach:?}");
            let before = if inside { begins } else { Membership::No(None) };
            assert_eq!(of(place, "CRIMEA", reach, "2014-03-17"), before, "{place} {reach:?}");
        }
    }
}

#[test]
fn a_bloc_may_have_one_member_in_turn_or_for_different_organisations() {
    let row = |more: &str| format!("[[bloc]]\nbloc = 'EU'\nmember = 'DE'\n{more}\n{FROM}");
    let read = |text: String| {
        Tables::parse(|name| if name == TableName::Blocs { &text } else { name.builtin() }).map(|tables| tables.blocs)
    };
    assert!(read(row("to = 2020-01-01") + &row("from = 2020-01-01")).is_ok());
    assert!(read(row("") + &row("scope = 'dpf_participation'") + &row("scope = 'commercial_organisation'")).is_ok());
    assert!(read(row("scope = 'dpf_participation'") + &row("scope = 'dpf_participation'\nto = 2020-01-01")).is_err());
}

#[test]
fn a_membership_says_when_it_may_be_another_one() {
    let tables = Tables::builtin().unwrap();
    let changes = |day: &str| {
        let (place, set) = ("GB".parse().unwrap(), "EU".parse().unwrap());
        tables.blocs.membership(&tables.places, &place, &set, Reach::Within, day.parse().unwrap()).changes_at
    };
    let (joined, left) = ("1973-01-01", "2020-02-01");
    assert_eq!(changes("1972-12-31"), Some(joined.parse().unwrap()));
    assert_eq!((changes(joined), changes("2020-01-31")), (Some(left.parse().unwrap()), Some(left.parse().unwrap())));
    assert_eq!(changes(left), None);
}

#[test]
fn a_level_is_the_same_as_another_where_a_row_says_so() {
    let tables = Tables::builtin().unwrap();
    let row = &tables.classifications.equivalences()[0];
    let same = |level: &str, other: &str| tables.classifications.same_in(&row.scheme, level, other);
    assert_eq!(same(&row.level, &row.same_as_scheme), Some(row.same_as_level.as_str()));
    assert_eq!((same("none", &row.same_as_scheme), same(&row.level, "none")), (None, None));
}

#[test]
fn sizes_of_blocs_are_what_everybody_counts() {
    let tables = Tables::builtin().unwrap();
    let count = |bloc: &str| {
        let rows = tables.blocs.iter().find(|(name, _)| *name == bloc).unwrap().1;
        rows.iter().filter(|row| row.to.is_none()).count()
    };
    assert_eq!((count("EU"), count("EEA"), count("EFTA")), (34, 37, 4));
    assert_eq!((count("NATO"), count("CPTPP"), count("ASEAN"), count("G7"), count("FVEY")), (32, 12, 11, 7, 5));
}

#[test]
fn memberships_begin_and_end_on_their_days() {
    assert!(is_in("GB", "EU", "2020-01-31") && !is_in("GB", "EU", "2020-02-01"));
    assert!(is_in("GB", "GDPR-ADEQUATE", "2031-12-27") && !is_in("GB", "GDPR-ADEQUATE", "2031-12-28"));
    assert!(!is_in("BR", "GDPR-ADEQUATE", "2026-01-26") && is_in("BR", "GDPR-ADEQUATE", "2026-01-27"));
    assert!(!is_in("SE", "NATO", "2024-03-06") && is_in("SE", "NATO", "2024-03-07"));
    assert!(!is_in("GB", "CPTPP", "2024-12-14") && is_in("GB", "CPTPP", "2024-12-15"));
    assert!(!is_in("TL", "ASEAN", "2025-10-25") && is_in("TL", "ASEAN", "2025-10-26"));
    assert!(!is_in("SA", "BRICS", "2026-11-22"));
}

#[test]
fn adequacy_is_not_membership_and_a_row_for_some_is_neither_yes_nor_no() {
    let today = "2026-11-22";
    assert!(!is_in("NO", "EU", today) && !is_in("CH", "EU", today) && !is_in("CH", "EEA", today));
    assert!(matches!(membership("US", "GDPR-ADEQUATE", today), Membership::Scoped(Scope::DpfParticipation, _)));
    assert!(matches!(membership("CA", "GDPR-ADEQUATE", today), Membership::Scoped(Scope::CommercialOrganisation, _)));
    assert_eq!(membership("DE", "NO-SUCH", today), Membership::UnknownSet);
    assert!(is_in("DE-HE", "DE", today) && is_in("DE-HE", "EU", today) && !is_in("DE", "DE-HE", today));
}

/// What is wrong with the tables if one of them is this text; the whole chain.
fn error(table: TableName, text: &str) -> String {
    let error = Tables::parse(|name| if name == table { text } else { name.builtin() }).expect_err(text);
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn a_table_that_cannot_be_read_is_named_with_the_line_and_the_key() {
    for table in TableName::ALL {
        let error = error(*table, "\n\nnonsense = 1");
        assert!(error.starts_with(&format!("the table of {} cannot be read", table.as_str())), "{error}");
        assert!(error.contains("line 3") && error.contains("nonsense"), "{error}");
    }
}

const FROM: &str = "instrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = false\n";

#[test]
fn a_broken_row_is_named_with_the_table_and_the_field() {
    let provenance = "provenance = { instrument = '', source = '', recorded_at = 2026-01-01, verified = false }\n";
    let bloc = "[[bloc]]\nbloc = 'EU'\nmember = 'DE'\n";
    let regime = "[[regime]]\nid = 'R'\n";
    let tag = "[[use]]\ntag = 'T'\nabout = ''\neffect = 'prohibited'\n";
    let rule = "[[rule]]\nlicence = 'L'\nbinds = 'operator'\n";
    let preset = "[[preset]]\nname = 'P'\nabout = ''\n";
    let backwards = "{ from = 2020-01-01, until = 2019-01-01 }";
    let grant =
        format!("[[rule.grants]]\nid = ''\nseats = []\norganisation_types = []\npurposes = []\nin_force = {backwards}");
    let purpose = |id: &str, broader: &str| format!("[[purpose]]\nid = '{id}'\nbroader = [{broader}]\n");
    let section =
        |id: &str, divisions: &str| format!("[[section]]\nid = '{id}'\nabout = ''\ndivisions = '{divisions}'\n");
    let twice = |row: &str| format!("{row}{row}");
    use TableName::{Blocs, Issuers, Licences, Places, Presets, Purposes, Regimes, Sectors, Statutes};
    let free = format!("[unconditional]\nlicences = ['MIT']\n{FROM}");
    let rows = [
        (Places, format!("countries = 'DE Xx'\nalias = {{}}\n{provenance}"), "Xx: "),
        (
            Places,
            format!("countries = 'DE'\nalias = {{}}\nsubdivisions = {{ FR = 'IDF' }}\n{provenance}"),
            "FR: subdivisions of a country",
        ),
        (
            Places,
            format!("countries = 'DE FR'\nalias = {{ DE = 'FR' }}\n{provenance}"),
            "DE: only a subdivision has an alias",
        ),
        (Places, format!("countries = 'DE'\nalias = {{ FR-GF = 'GF' }}\n{provenance}"), "GF: an alias of a country"),
        (Blocs, format!("{bloc}from = 2020-01-01\nto = 2019-01-01\n{FROM}"), "EU DE: `from` must be before `to`"),
        (Blocs, format!("[[bloc]]\nbloc = 'FR'\nmember = 'DE'\n{FROM}"), "FR DE: `bloc` cannot have a place's name"),
        (
            Purposes,
            format!("{provenance}{}{}", purpose("a", "'b'"), purpose("b", "'a'")),
            "a: `broader`: it is its own ancestor",
        ),
        (Purposes, format!("{provenance}{}", purpose("a", "'b'")), "a: `broader`: b has no row"),
        (Purposes, format!("{provenance}{}", twice(&purpose("a", ""))), "a: `id` stands twice"),
        (Sectors, format!("{provenance}{}", twice(&section("P", "84"))), "P: `divisions`: 84 is in another section"),
        (Sectors, format!("{provenance}{}", twice(&section("P", ""))), "P: `id` stands twice"),
        (Sectors, format!("{provenance}{}", section("P", "8")), "P: `divisions`: 8 has not two digits"),
        (
            Regimes,
            format!("{regime}in_force = [{{}}]\nplaces = []\nnexus = ['seat']\n{FROM}"),
            "R: `places` and `nexus`",
        ),
        (
            Regimes,
            format!("{regime}in_force = []\nplaces = ['US']\nnexus = ['seat']\n{FROM}"),
            "R: `in_force` must hold",
        ),
        (
            Regimes,
            twice(&format!("{regime}in_force = [{{}}]\nplaces = ['US']\nnexus = ['seat']\n{FROM}")),
            "R: `id` stands twice",
        ),
        (
            Statutes,
            format!("{tag}territory = ['EU']\nin_force = {backwards}\n{FROM}"),
            "T: `in_force`: `from` must be before",
        ),
        (Statutes, format!("{tag}territory = []\nin_force = {{}}\n{FROM}"), "T: `territory` must not be empty"),
        (Statutes, twice(&format!("{tag}territory = ['EU']\nin_force = {{}}\n{FROM}")), "T: `tag` stands twice"),
        (Licences, format!("{free}{rule}{FROM}{grant}"), "L: `grants.in_force`: `from` must be before"),
        (Licences, format!("{free}{}", twice(&format!("{rule}{FROM}"))), "L: `licence` stands twice"),
        (
            Issuers,
            twice(&format!("[[issuer]]\nid = 'I'\nabout = ''\nup_to = 'audited'\n{FROM}")),
            "I: `id` stands twice",
        ),
        (Presets, twice(&format!("{preset}requirements = {{}}\n{FROM}")), "P: `name` stands twice"),
        (
            Presets,
            format!("{preset}requirements = {{ preset = ['Q'] }}\n{FROM}"),
            "P: `requirements.preset`: a preset names no preset",
        ),
    ];
    hold(&rows);
}

/// Rows that break a table, and how the mistake is named.
fn hold(rows: &[(TableName, String, &str)]) {
    for (table, text, problem) in rows {
        let error = error(*table, text);
        assert!(error.starts_with(&format!("the table of {}: {problem}", table.as_str())), "{error}\n{problem}");
    }
}

#[test]
fn a_licence_that_demands_nothing_has_no_rule() {
    let text =
        format!("[unconditional]\nlicences = ['MIT']\n{FROM}[[rule]]\nlicence = 'MIT'\nbinds = 'operator'\n{FROM}");
    let error = error(TableName::Licences, &text);
    assert!(error.contains("MIT: `licence` is among `unconditional.licences` as well"), "{error}");
}

#[test]
fn memberships_months_and_levels_that_cannot_be_are_named() {
    let bloc = "[[bloc]]\nbloc = 'EU'\nmember = 'DE'\n";
    let rule = format!("[unconditional]\nlicences = ['MIT']\n{FROM}[[rule]]\nlicence = 'L'\nbinds = 'operator'\n");
    let scheme = "[[scheme]]\nscheme = 'S'\n";
    let twice = |row: &str| format!("{row}{row}");
    use TableName::{Blocs, Certifications, Classifications, Licences};
    hold(&[
        (Blocs, twice(&format!("{bloc}{FROM}")), "EU DE: `from`: another row of this bloc and member"),
        (
            Blocs,
            format!("{bloc}to = 2020-01-02\n{FROM}{bloc}from = 2020-01-01\n{FROM}"),
            "EU DE: `from`: another row of this bloc and member",
        ),
        (
            Licences,
            format!("{rule}scale = {{ more_than = 1, month = '2023-66', unstated = 'below' }}\n{FROM}"),
            "L: `scale.month`: \"2023-66\" is not a calendar month",
        ),
        (
            Certifications,
            format!("{scheme}levels = ['a', 'b', 'a']\nmax_age_days = 1\n{FROM}"),
            "S: `levels`: a stands twice",
        ),
        (Certifications, format!("{scheme}levels = ['']\nmax_age_days = 1\n{FROM}"), "S: `levels`: a name is empty"),
        (
            Certifications,
            format!("{scheme}editions = [{{ edition = '1' }}, {{ edition = '1' }}]\nmax_age_days = 1\n{FROM}"),
            "S: `editions`: 1 stands twice",
        ),
        (Classifications, format!("{scheme}levels = ['A', 'A']\n{FROM}"), "S: `levels`: A stands twice"),
        (Classifications, format!("{scheme}levels = []\n{FROM}"), "S: `levels` must not be empty"),
        (Certifications, twice(&format!("{scheme}max_age_days = 365\n{FROM}")), "S: `scheme` stands twice"),
        (
            Classifications,
            format!("{scheme}levels = ['A']\nown_organisation_only = ['B']\n{FROM}"),
            "S: `own_organisation_only`: there is no level B",
        ),
        (Classifications, twice(&format!("{scheme}levels = ['A']\n{FROM}")), "S: `scheme` stands twice"),
        (
            Classifications,
            format!(
                "{scheme}levels = ['A']\n{FROM}[[equivalence]]\nscheme = 'S'\nlevel = 'A'\nsame_as_scheme = 'S'\nsame_as_level = 'C'\n{FROM}"
            ),
            "S A S C: `same_as_level`: C is no level of S",
        ),
        (
            Classifications,
            format!(
                "{scheme}levels = ['A']\n{FROM}[[equivalence]]\nscheme = 'T'\nlevel = 'A'\nsame_as_scheme = 'S'\nsame_as_level = 'A'\n{FROM}"
            ),
            "T A S A: `scheme`: there is no scheme T",
        ),
        (
            Classifications,
            format!(
                "{scheme}levels = ['A']\n{FROM}{}",
                twice(&format!(
                    "[[equivalence]]\nscheme = 'S'\nlevel = 'A'\nsame_as_scheme = 'S'\nsame_as_level = 'A'\n{FROM}"
                ))
            ),
            "S A S A: `same_as_scheme`: another row says",
        ),
    ]);
}

#[test]
fn the_digest_is_that_of_all_tables() {
    let builtin = Tables::builtin().unwrap().digest();
    assert_eq!(builtin, Tables::parse(TableName::builtin).unwrap().digest());
    for table in TableName::ALL {
        let changed = format!("{}\n# changed\n", table.builtin());
        let other = Tables::parse(|name| if name == *table { &changed } else { name.builtin() }).unwrap();
        assert_ne!(other.digest(), builtin, "{table:?}");
    }
}
