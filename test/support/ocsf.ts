/**
 * What OCSF 1.8.0 says of the classes that Orchestra writes: numbers, names and types of the
 * attributes in use and of all that are required, taken from the schema of that version
 * (repository ocsf/ocsf-schema, commit 3dcb905d, version.json 1.8.0). A type with `!` is required,
 * `[]` is a list, `@name` needs that profile, digits are the values that there are.
 */
const outcome = 'int 0,1,2,99';
const control = {
  action: 'text@security_control',
  action_id: 'int@security_control 0,1,2,3,4,99',
  disposition: 'text@security_control',
  disposition_id: `int@security_control ${[...Array(28).keys()].join(',')},99`,
  policy: 'policy@security_control',
};
const common = {
  activity_name: 'text',
  category_name: 'text',
  category_uid: 'int!',
  class_name: 'text',
  class_uid: 'int!',
  message: 'text',
  metadata: 'metadata!',
  raw_data: 'text',
  raw_data_hash: 'fingerprint',
  raw_data_size: 'int',
  severity: 'text',
  severity_id: 'int! 0,1,2,3,4,5,6,99',
  status: 'text',
  status_code: 'text',
  status_id: outcome,
  time: 'int!',
  type_uid: 'int!',
  unmapped: 'any',
};
const hosted = { actor: 'actor@host', device: 'device@host' };
const iam = { actor: 'actor', device: 'device@host' };
const system = { actor: 'actor!', device: 'device!' };

type Shape = { attributes: Record<string, string>; oneOf?: string[] };
type Class = Shape & { category: number; name: string; category_name: string };

const categories: Readonly<Record<number, string>> = {
  1: 'System Activity',
  2: 'Findings',
  3: 'Identity & Access Management',
  6: 'Application Activity',
};

function classOf(
  uid: number,
  name: string,
  activities: string,
  attributes: Record<string, string>,
  oneOf?: string[],
): [number, Class] {
  const category = Math.floor(uid / 1000);
  const all = { ...common, activity_id: `int! ${activities}`, ...attributes };
  const shape = { category, name, category_name: categories[category] ?? '', attributes: all };
  return [uid, oneOf === undefined ? shape : { ...shape, oneOf }];
}

const classes = new Map<number, Class>([
  classOf(1001, 'File System Activity', '0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,99', {
    ...system,
    ...control,
    file: 'file!',
  }),
  classOf(1007, 'Process Activity', '0,1,2,3,4,5,99', {
    ...system,
    ...control,
    exit_code: 'int',
    process: 'process!',
  }),
  classOf(
    1008,
    'Event Log Activity',
    '0,1,2,3,4,5,6,7,8,9,10,99',
    {
      actor: 'actor',
      device: 'device',
      log_name: 'text',
      log_provider: 'text',
      log_type: 'text',
      log_type_id: outcome,
    },
    ['log_file', 'log_name', 'log_provider', 'log_type', 'log_type_id'],
  ),
  classOf(2004, 'Detection Finding', '0,1,2,3,99', {
    actor: 'actor@host',
    device: 'device',
    finding_info: 'finding_info!',
    is_alert: 'bool',
    status_id: 'int 0,1,2,3,4,5,6,99',
  }),
  classOf(
    3002,
    'Authentication',
    '0,1,2,3,4,5,6,7,99',
    { ...iam, service: 'service', user: 'user!' },
    ['service', 'dst_endpoint'],
  ),
  classOf(3004, 'Entity Management', '0,1,2,3,4,5,6,7,8,9,10,11,12,13,99', {
    ...iam,
    ...control,
    entity: 'managed_entity!',
  }),
  classOf(3005, 'User Access Management', '0,1,2,99', {
    ...iam,
    privileges: 'text[]!',
    user: 'user!',
  }),
  classOf(6002, 'Application Lifecycle', '0,1,2,3,4,5,6,7,8,99', {
    ...hosted,
    ...control,
    app: 'product!',
  }),
  classOf(6003, 'API Activity', '0,1,2,3,4,99', {
    actor: 'actor!',
    api: 'api!',
    device: 'device@host',
    src_endpoint: 'network_endpoint!',
    ...control,
  }),
  classOf(6008, 'Application Error', '0,1,2,99', hosted),
]);

const named = { name: 'text', uid: 'text' };
const objects: Readonly<Record<string, Shape>> = {
  actor: {
    attributes: { app_name: 'text', process: 'process', user: 'user' },
    oneOf: ['process', 'user', 'invoked_by', 'session', 'app_name', 'app_uid'],
  },
  api: {
    attributes: {
      operation: 'text!',
      request: 'request',
      response: 'response',
      service: 'service',
    },
  },
  container: { attributes: { image: 'image', uid: 'text' }, oneOf: ['uid', 'name'] },
  device: {
    attributes: { name: 'text', type_id: 'int! 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,99' },
    oneOf: ['ip', 'uid', 'name', 'hostname', 'instance_uid', 'interface_uid', 'interface_name'],
  },
  file: {
    attributes: {
      hashes: 'fingerprint[]',
      name: 'text!',
      path: 'text',
      size: 'int',
      type_id: 'int! 0,1,2,3,4,5,6,7,8,99',
    },
  },
  finding_info: {
    attributes: { created_time: 'int', title: 'text', types: 'text[]', uid: 'text!' },
  },
  fingerprint: {
    attributes: { algorithm: 'text', algorithm_id: 'int! 0,1,2,3,4,5', value: 'text!' },
  },
  image: { attributes: { uid: 'text!' } },
  managed_entity: {
    attributes: { ...named, type: 'text', type_id: 'int 0,1,2,3,4,5,6,7,99' },
    oneOf: ['name', 'uid', 'device', 'group', 'org', 'policy', 'user'],
  },
  metadata: {
    attributes: {
      correlation_uid: 'text',
      event_code: 'text',
      log_name: 'text',
      log_provider: 'text',
      original_time: 'text',
      product: 'product!',
      profiles: 'text[]',
      sequence: 'int',
      uid: 'text',
      version: 'text!',
    },
  },
  network_endpoint: {
    attributes: { svc_name: 'text' },
    oneOf: ['ip', 'uid', 'name', 'hostname', 'svc_name', 'instance_uid', 'domain'],
  },
  policy: { attributes: named, oneOf: ['name', 'type', 'uid'] },
  process: {
    attributes: { container: 'container@container', name: 'text', pid: 'int', uid: 'text' },
    oneOf: ['pid', 'uid', 'cpid'],
  },
  product: {
    attributes: { name: 'text', vendor_name: 'text', version: 'text' },
    oneOf: ['name', 'uid'],
  },
  request: { attributes: { uid: 'text!' } },
  response: { attributes: { error: 'text', error_message: 'text' } },
  service: { attributes: { name: 'text' }, oneOf: ['name', 'uid'] },
  user: {
    attributes: { ...named, type_id: 'int 0,1,2,3,4,99' },
    oneOf: ['account', 'name', 'uid'],
  },
};

type Fields = Record<string, unknown>;

/** Everything that is wrong with an event; an attribute that is not known here is wrong. */
export function ocsfComplaints(event: Fields): string[] {
  const known = classes.get(Number(event['class_uid']));
  if (known === undefined) return [`there is no class ${String(event['class_uid'])}`];
  const { profiles = [] } = event['metadata'] as { profiles?: string[] };
  const { category, name, category_name: categoryName } = known;
  const typeUid = Number(event['class_uid']) * 100 + Number(event['activity_id']);
  const wanted = { category_uid: category, class_name: name, category_name: categoryName };
  return [
    ...Object.entries({ ...wanted, type_uid: typeUid }).flatMap(([key, value]) =>
      event[key] === value ? [] : [`${key} is not ${value}`],
    ),
    ...inShape(event, known, profiles, name),
  ];
}

function inShape(fields: Fields, shape: Shape, profiles: string[], at: string): string[] {
  const { attributes, oneOf = [] } = shape;
  const missing = Object.entries(attributes).filter(
    ([key, type]) => type.includes('!') && fields[key] === undefined,
  );
  const isOne = oneOf.length === 0 || oneOf.some((key) => fields[key] !== undefined);
  return [
    ...missing.map(([key]) => `${at}.${key} is missing`),
    ...(isOne ? [] : [`${at} has none of ${oneOf.join(', ')}`]),
    ...Object.entries(fields).flatMap(([key, value]) => {
      const type = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
      return type === undefined
        ? [`${at}.${key} is not known`]
        : ofType(value, type, profiles, `${at}.${key}`);
    }),
  ];
}

function ofType(value: unknown, spelled: string, profiles: string[], at: string): string[] {
  const [, type = '', list, profile, values] =
    /^(\w+)(\[\])?!?(?:@(\w+))?(?: (.+))?$/.exec(spelled) ?? [];
  if (profile !== undefined && !profiles.includes(profile)) return [`${at} needs ${profile}`];
  if (list !== undefined) {
    if (!Array.isArray(value)) return [`${at} is no list`];
    return value.flatMap((each) => ofType(each, type, profiles, at));
  }
  if (type === 'any') return typeof value === 'object' ? [] : [`${at} is no object`];
  if (type === 'text') return typeof value === 'string' ? [] : [`${at} is no text`];
  if (type === 'bool') return typeof value === 'boolean' ? [] : [`${at} is no boolean`];
  if (type === 'int') {
    if (!Number.isSafeInteger(value)) return [`${at} is no whole number`];
    return (values?.split(',').includes(String(value)) ?? true)
      ? []
      : [`${at} is ${String(value)}`];
  }
  const shape = objects[type];
  if (shape === undefined || typeof value !== 'object' || value === null) return [`${at} is odd`];
  return inShape(value as Fields, shape, profiles, at);
}
