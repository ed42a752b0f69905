// Field settings and transformations: Grafana's own code does the work, once it knows which of them there are.

import {
  applyFieldOverrides,
  type DataFrame,
  displayNameOverrideProcessor,
  type FieldConfig,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  getFieldDisplayName,
  type GrafanaTheme2,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  ThresholdsMode,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import type { Panel } from './model';
import type { Variables } from './variables';

const STANDARD_SETTINGS = [
  'unit',
  'min',
  'max',
  'fieldMinMax',
  'decimals',
  'displayName',
  'noValue',
  'thresholds',
  'mappings',
  'links',
  'color',
  'filterable',
];

const BY_NAME = new Map(Object.values(standardTransformers).map((transformer) => [transformer.id as string, transformer]));

standardTransformersRegistry.setInit(() =>
  [...BY_NAME].map(([id, transformer]) => ({
    id,
    name: transformer.name,
    transformation: async () => transformer,
    editor: () => null,
    imageDark: '',
    imageLight: '',
  })),
);

export async function transformed(panel: Panel, frames: DataFrame[], variables: Variables): Promise<DataFrame[]> {
  const transformations = panel.transformations ?? [];
  const unknown = transformations.find(({ id }) => !BY_NAME.has(id));
  if (unknown) {
    throw new Error(`the transformation ${unknown.id} is not known here`);
  }
  const context = { interpolate: (text: string) => variables.inText(text) };
  return lastValueFrom(transformDataFrame(transformations, frames, context));
}

/** The panel's settings, with those that Grafana adds where a dashboard is silent. */
export function fieldConfigOf(panel: Panel): FieldConfigSource {
  const defaults: FieldConfig = {
    thresholds: {
      mode: ThresholdsMode.Absolute,
      steps: [
        { value: -Infinity, color: 'green' },
        { value: 80, color: 'red' },
      ],
    },
    color: { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
    mappings: [],
    ...panel.fieldConfig?.defaults,
  };
  return { defaults, overrides: panel.fieldConfig?.overrides ?? [] };
}

/** The frames with the panel's settings and overrides on their fields. */
export function configured(panel: Panel, frames: DataFrame[], variables: Variables, theme: GrafanaTheme2): DataFrame[] {
  const fieldConfig = fieldConfigOf(panel);
  const set = applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: settings(fieldConfig),
    replaceVariables: (text) => variables.inText(text),
    theme,
    timeZone: 'utc',
  });
  // The head of a table shows the name that was last reckoned.
  set.forEach((frame) => frame.fields.forEach((field) => getFieldDisplayName(field, frame, set)));
  return set;
}

/** A registry of the settings that there are: the standard ones, and whatever of its own the panel mentions. */
function settings({ defaults, overrides }: FieldConfigSource): FieldConfigOptionsRegistry {
  const overridden = overrides.flatMap(({ properties }) => properties.map(({ id }) => id));
  const own = new Set([
    ...Object.keys(defaults.custom ?? {}),
    ...overridden.filter((id) => id.startsWith('custom.')).map((id) => id.slice('custom.'.length)),
  ]);
  const unknown = overridden.find((id) => !id.startsWith('custom.') && !STANDARD_SETTINGS.includes(id));
  if (unknown) {
    throw new Error(`the setting ${unknown} of a field is not known here`);
  }
  const registry = new FieldConfigOptionsRegistry();
  STANDARD_SETTINGS.forEach((id) => registry.register(setting(id, id)));
  own.forEach((path) => registry.register({ ...setting(`custom.${path}`, path), isCustom: true }));
  return registry;
}

function setting(id: string, path: string): FieldConfigPropertyItem {
  return {
    id,
    path,
    name: id,
    process: id === 'displayName' ? displayNameOverrideProcessor : identityOverrideProcessor,
    shouldApply: (field) => id !== 'thresholds' || field.type !== FieldType.time,
    // Nobody edits here.
    editor: () => null,
    override: () => null,
  };
}
