use super::*;

fn expand(text: &str) -> Result<String, String> {
    let labels = Labels::from_pairs(&[("instance", "10.0.0.1:20180"), ("job", "tikv")]);
    let query = |expression: &str| match expression {
        "none" => Ok(Vec::new()),
        "broken" => Err("it is broken".to_owned()),
        _ => Ok(vec![
            (Labels::from_pairs(&[("store", "5")]), 2.5),
            (Labels::from_pairs(&[("store", "4")]), 1.0),
        ]),
    };
    let external_labels = [("site".to_owned(), "eqiad".to_owned())];
    let at = Timestamp::from_millis(1_500);
    let external = External { labels: &external_labels, url: "http://prom/" };
    let data = TemplateData { labels: &labels, value: 1234.5678, at, external, query: &query };
    Template::parse(text).and_then(|template| template.expand(&data)).map_err(|error| error.0)
}

#[track_caller]
fn gives(text: &str, expected: &str) {
    assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn fails(text: &str, with: &str) {
    let error = expand(text).expect_err(text);
    assert!(error.contains(with), "{text}: {error}");
}

#[test]
fn values_print_as_in_go() {
    gives("plain } text", "plain } text");
    gives("{{ $value }}", "1234.5678");
    gives("{{ .Value }} {{ .Labels.job }} {{ $labels.absent }}|", "1234.5678 tikv |");
    gives(
        "{{ $externalLabels.site }} {{ .ExternalLabels.none }}{{ $externalURL }} {{ .ExternalURL }}",
        "eqiad http://prom/ http://prom/",
    );
    gives("{{ $labels }}", "map[instance:10.0.0.1:20180 job:tikv]");
    gives(
        "{{ 0.00001 }} {{ 1e21 }} {{ 999999.5 }} {{ 21474836480.0 }} {{ -1e6 }} {{ -3 }} {{ 0x1f }} {{ 'a' }} {{ true }}",
        "1e-05 1e+21 999999.5 2.147483648e+10 -1e+06 -3 31 97 true",
    );
    gives(r#"{{ "a\n\"b\u00e9" }}{{ `\raw}}` }}"#, "a\n\"bé\\raw}}");
    gives("a {{- /* no */ -}} b {{- 1 -}} c", "ab1c");
}

#[test]
fn numbers_are_humanized() {
    for (function, value, expected) in [
        ("humanize", "0.0", "0"),
        ("humanize", "1234567.0", "1.235M"),
        ("humanize", "-12345", "-12.35k"),
        ("humanize", "0.00012", "120u"),
        ("humanize", "999.96", "1000"),
        ("humanize1024", "1048576.0", "1Mi"),
        ("humanize1024", "1.5", "1.5"),
        ("humanize1024", "1536.0", "1.5ki"),
        ("humanizeDuration", "0.0", "0s"),
        ("humanizeDuration", "0.0123", "12.3ms"),
        ("humanizeDuration", "59.5", "59.5s"),
        ("humanizeDuration", "-61.0", "-1m 1s"),
        ("humanizeDuration", "93784.0", "1d 2h 3m 4s"),
        ("humanizePercentage", "0.12345", "12.35%"),
        ("humanizeTimestamp", "1435065584.128", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("humanizeTimestamp", "\"10\"", "1970-01-01 00:00:10 +0000 UTC"),
    ] {
        gives(&format!("{{{{ {value} | {function} }}}}"), expected);
    }
    fails("{{ 1e300 | humanizeTimestamp }}", "cannot be represented");
    fails("{{ \"x\" | humanize }}", "ParseFloat");
}

#[test]
fn printf_formats_and_shows_what_does_not_fit() {
    for (text, expected) in [
        (r#"{{ printf "%.2f %s" $value $labels.job }}"#, "1234.57 tikv"),
        (r#"{{ $value | printf "%5.1f|%%" }}"#, "1234.6|%"),
        (r#"{{ printf "%6d|%-4d|%04d|%+d|%x" 7 7 -7 7 255 }}"#, "     7|7   |-007|+7|ff"),
        (
            r#"{{ printf "%e %g %.3g %v" 12345.678 12345.678 12345.678 true }}"#,
            "1.234568e+04 12345.678 1.23e+04 true",
        ),
        (r#"{{ printf "%d" $value }}"#, "%!d(float64=1234.5678)"),
        (r#"{{ printf "%s" }}"#, "%!s(MISSING)"),
        (r#"{{ printf "a" 1 }}"#, "a%!(EXTRA int=1)"),
        (r#"{{ printf "%q %5s|%.1s" "a\"b" "x" "yz" }}"#, r#""a\"b"     x|y"#),
    ] {
        gives(text, expected);
    }
}

#[test]
fn conditions_loops_and_variables_work() {
    gives("{{ if gt $value 1000.0 }}high{{ else }}low{{ end }}", "high");
    gives(
        "{{ if eq $labels.job \"pd\" }}p{{ else if eq $labels.job \"kv\" \"tikv\" }}t{{ end }}",
        "t",
    );
    gives("{{ if and $labels.absent $labels.job }}y{{ else }}n{{ end }}", "n");
    gives("{{ or $labels.absent \"none\" }}", "none");
    gives(
        "{{ with $labels.job }}{{ . }}{{ end }}{{ with $labels.no }}x{{ else }}y{{ end }}",
        "tikvy",
    );
    gives("{{ range query \"up\" }}{{ .Labels.store }}={{ .Value }};{{ end }}", "5=2.5;4=1;");
    gives(
        "{{ range $i, $s := query \"up\" | sortByLabel \"store\" }}{{ $i }}:{{ $s | label \"store\" }} {{ end }}",
        "0:4 1:5 ",
    );
    gives("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing");
    gives("{{ $n := 1 }}{{ if true }}{{ $n = 2 }}{{ $n := 3 }}{{ $n }}{{ end }}{{ $n }}", "32");
    gives("{{ range $name, $text := $labels }}{{ $name }},{{ end }}", "instance,job,");
    gives("{{ query \"up\" | first | value | humanize }}", "2.5");
    gives("{{ (query \"up\" | first).Labels.store }}", "5");
    gives(
        "{{ len (query \"up\") }} {{ index $labels \"job\" }} {{ (index (query \"up\") 1).Value }}",
        "2 tikv 1",
    );
}

#[test]
fn named_templates_are_expanded_where_they_are_called() {
    gives("{{ define \"t\" }}T:{{ . }}{{ end }}{{ template \"t\" \"arg\" }}", "T:arg");
    gives("{{ template \"t\" . }}{{ define \"t\" }}{{ $.Labels.job }}{{ end }}|", "tikv|");
    gives("{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" }}", "[<no value>]");
    gives("{{ block \"b\" $labels.job }}<{{ . }}>{{ end }}{{ template \"b\" 7 }}", "<tikv><7>");
}

#[test]
fn times_have_the_methods_of_go() {
    gives("{{ (toTime 1435065584.128).Year }} {{ (toTime 0).Weekday }}", "2015 Thursday");
    gives("{{ toTime 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC");
    gives("{{ with toTime 0 }}{{ .Month }} {{ .Day }} {{ .Unix }}{{ end }}", "January 1 0");
    gives(
        "{{ toDuration 5400.5 }} {{ toDuration 0.0015 }} {{ toDuration -61 }}",
        "1h30m0.5s 1.5ms -1m1s",
    );
    gives("{{ toDuration 0 }} {{ toDuration 0.0000015 }}", "0s 1.5µs");
    gives("{{ now }}", "1.5");
}

#[test]
fn texts_are_changed() {
    gives(
        "{{ slice \"abcdef\" 1 3 }} {{ slice \"abc\" 1 }} {{ len (slice (query \"up\") 1) }}",
        "bc bc 1",
    );
    gives("{{ urlQueryEscape \"a b&c\" }}", "a+b%26c");
    gives("{{ $labels.job | toUpper }} {{ title \"a bc\" }} {{ toLower \"AB\" }}", "TIKV A Bc ab");
    gives(r#"{{ reReplaceAll "(.*):\\d+" "host $1" $labels.instance }}"#, "host 10.0.0.1");
    gives(r#"{{ reReplaceAll " {.*}$" "" "Peering {#cable}" }}"#, "Peering");
    gives(r#"{{ reReplaceAll "\\d+" "N" "x3٣" }} {{ match "^\\w+$" "é" }}"#, "xN٣ false");
    gives(r#"{{ reReplaceAll "[a&&b]" "X" "a&b" }}"#, "XXX");
    gives("{{ match \"^ti\" $labels.job }} {{ stripPort $labels.instance }}", "true 10.0.0.1");
    gives("{{ stripDomain \"a.b.c:1\" }} {{ stripDomain \"1.2.3.4:1\" }}", "a:1 1.2.3.4:1");
    gives("{{ print 1 2 \"a\" 3 }}{{ html \"<a>\" }}", "1 2a3&lt;a&gt;");
    gives("{{ graphLink \"up == 0\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0");
}

#[test]
fn what_is_wrong_is_named() {
    fails("{{ $labels.job", "unclosed action");
    fails("{{ if true }}", "missing");
    fails("{{ end }}", "unexpected {{end}}");
    fails("{{ $unknown }}", "undefined variable \"$unknown\"");
    fails("{{ nope 1 }}", "function \"nope\" not defined");
    fails("{{ tmpl 1 }}", "not supported");
    fails("{{ template \"x\" }}", "template \"x\" not defined");
    fails("{{ if true }}{{ define \"x\" }}{{ end }}{{ end }}", "unexpected {{define}}");
    fails("{{ define \"x\" }}{{ $labels }}{{ end }}", "undefined variable \"$labels\"");
    fails("{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}", "too deeply");
    fails("{{ break }}", "not supported");
    fails("{{ slice \"abc\" 2 1 }}", "invalid slice index");
    fails("{{ slice \"abc\" 4 }}", "index out of range");
    fails("{{ \"NaN\" | toTime }}", "NaN or Inf");
    fails("{{ (toTime 0).Moon }}", "can't evaluate field Moon");
    fails("{{ gt $value 5 }}", "incompatible types");
    fails("{{ query \"broken\" }}", "it is broken");
    fails("{{ query \"none\" | first }}", "no elements");
    fails("{{ .Nope.x }}", "can't evaluate field x in nil");
    fails("{{ $value.x }}", "can't evaluate field x in a number");
    fails("{{ 1 2 }}", "non-function");
    fails("{{ \"a", "unterminated");
    fails(&"{{ if true }}".repeat(100), "nested too deeply");
    fails(&format!("{{{{ {}1{} }}}}", "(".repeat(100), ")".repeat(100)), "nested too deeply");
}

#[test]
fn a_text_that_would_explode_is_stopped() {
    let nested = "{{ range query \"up\" }}".repeat(25) + "x" + &"{{ end }}".repeat(25);
    fails(&nested, "too long");
}
