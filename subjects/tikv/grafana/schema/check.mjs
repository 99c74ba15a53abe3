// Holds dashboards against Grafana's published TypeScript schema (@grafana/schema): every value has
// the declared type, every required key is there, and no key is one that Grafana does not know.
//
//   npm install && npm run check
//
// A dashboard is checked as a Dashboard, each panel's options and custom field configuration as
// those of its panel type. Exits with 1 where something does not conform.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const raw = join(dirname(fileURLToPath(import.meta.url)), 'node_modules/@grafana/schema/dist/types/raw');
const PANELS = { stat: 'stat', timeseries: 'timeseries', 'state-timeline': 'statetimeline', table: 'table' };
const file = (panel) => join(raw, `composable/${PANELS[panel]}/panelcfg/x/types.gen.d.ts`);
const dashboardFile = join(raw, 'dashboard/x/types.gen.d.ts');

const program = ts.createProgram([dashboardFile, ...Object.keys(PANELS).map(file)], {
  strict: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
});
const checker = program.getTypeChecker();

function exported(path, name) {
  const source = program.getSourceFile(path);
  const symbol = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find((s) => s.name === name);
  return symbol && checker.getDeclaredTypeOfSymbol(symbol);
}

const is = (type, flag) => (type.flags & flag) !== 0;

// The reasons why `value` does not conform to `type`; none where it does.
function faults(value, type, path) {
  if (is(type, ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return [];
  if (type.isUnion()) {
    const members = type.types.filter((member) => !is(member, ts.TypeFlags.Undefined));
    const each = members.map((member) => faults(value, member, path));
    return each.some((found) => found.length === 0) ? [] : each.reduce((a, b) => (b.length < a.length ? b : a));
  }
  const fault = [`${path}: ${JSON.stringify(value)?.slice(0, 60)} is no ${checker.typeToString(type)}`];
  if (type.isStringLiteral() || type.isNumberLiteral()) return value === type.value ? [] : fault;
  if (is(type, ts.TypeFlags.BooleanLiteral)) return String(value) === checker.typeToString(type) ? [] : fault;
  if (is(type, ts.TypeFlags.String)) return typeof value === 'string' ? [] : fault;
  if (is(type, ts.TypeFlags.Number)) return typeof value === 'number' ? [] : fault;
  if (is(type, ts.TypeFlags.Boolean)) return typeof value === 'boolean' ? [] : fault;
  if (is(type, ts.TypeFlags.Null)) return value === null ? [] : fault;
  if (is(type, ts.TypeFlags.Undefined)) return value === undefined ? [] : fault;
  if (checker.isArrayType(type)) {
    const [element] = checker.getTypeArguments(type);
    return Array.isArray(value) ? value.flatMap((v, i) => faults(v, element, `${path}[${i}]`)) : fault;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return fault;
  return ofObject(value, type, path);
}

function ofObject(value, type, path) {
  const found = [];
  const index = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  const declared = new Map(checker.getPropertiesOfType(type).map((property) => [property.name, property]));
  for (const [name, property] of declared) {
    const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
    if (!(name in value)) {
      if (!optional) found.push(`${path}.${name} is missing`);
    } else {
      found.push(...faults(value[name], checker.getTypeOfSymbol(property), `${path}.${name}`));
    }
  }
  for (const name of Object.keys(value)) {
    if (declared.has(name)) continue;
    if (index) found.push(...faults(value[name], index, `${path}.${name}`));
    else found.push(`${path}.${name} is unknown to Grafana`);
  }
  return found;
}

const Dashboard = exported(dashboardFile, 'Dashboard');
let bad = 0;
for (const path of process.argv.slice(2)) {
  const dashboard = JSON.parse(readFileSync(path, 'utf8'));
  const found = faults(dashboard, Dashboard, 'dashboard');
  for (const panel of dashboard.panels) {
    if (panel.type === 'row') continue;
    const at = `panel ${panel.id} (${panel.title})`;
    if (!PANELS[panel.type]) found.push(`${at}: type ${panel.type} is not checked`);
    else {
      found.push(...faults(panel.options, exported(file(panel.type), 'Options'), `${at}.options`));
      const custom = exported(file(panel.type), 'FieldConfig');
      if (custom && panel.fieldConfig.defaults.custom)
        found.push(...faults(panel.fieldConfig.defaults.custom, custom, `${at}.fieldConfig.defaults.custom`));
    }
  }
  console.log(`${path}: ${dashboard.panels.length} panels, ${found.length} faults`);
  for (const line of found) console.log(`  ${line}`);
  bad += found.length;
}
process.exitCode = bad === 0 ? 0 : 1;
