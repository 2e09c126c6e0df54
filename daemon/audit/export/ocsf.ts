import { hash as digest } from 'node:crypto';
import type { LogRecord, Outcome, Severity } from '#contract/records.ts';
import type { About, Exportable, Format } from './format.ts';
import {
  ocsfActivities,
  ocsfCategories,
  ocsfClasses,
  ocsfMap,
  type Mapping,
  type OcsfClass,
} from './ocsf-map.ts';
import { asciiJson } from './visible.ts';

/** OCSF 1.8.0, one event a line, in ASCII. The record itself is `raw_data`, its hash `metadata.uid`. */
export const ocsf: Format = {
  contentType: 'application/x-ndjson',
  lineEnd: '\n',
  record: (line, about) => asciiJson(JSON.stringify(ocsfEvent(line, about))),
};

const schemaVersion = '1.8.0';
const unknownType: Mapping = { class: 'log', activity: 'Other' };
const severities: Readonly<Record<Severity, readonly [number, string]>> = {
  info: [1, 'Informational'],
  notice: [2, 'Low'],
  warn: [3, 'Medium'],
  alert: [4, 'High'],
};
const statuses: Readonly<Record<Outcome, readonly [number, string]>> = {
  ok: [1, 'Success'],
  denied: [2, 'Failure'],
  failed: [2, 'Failure'],
  unknown: [0, 'Unknown'],
};

type Fields = Record<string, unknown>;

export function ocsfEvent({ record, line, hash }: Exportable, about: About): Fields {
  const mapping = Object.hasOwn(ocsfMap, record.type) ? ocsfMap[record.type] : undefined;
  const { class: name, activity, controlled } = mapping ?? unknownType;
  const { uid, category, name: className } = ocsfClasses[name];
  const activityId = typeof activity === 'number' ? activity : 99;
  const [severityId, severity] = severities[record.sev];
  const [statusId, status] = statuses[record.outcome];
  const profiles = [
    ...(isOfHost(name) ? [] : ['host']),
    ...(name === 'process' ? ['container'] : []),
    ...(controlled ? ['security_control'] : []),
  ];
  return {
    activity_id: activityId,
    activity_name:
      typeof activity === 'number' ? (ocsfActivities[name][activity] ?? 'Other') : activity,
    category_uid: category,
    category_name: ocsfCategories[category],
    class_uid: uid,
    class_name: className,
    type_uid: uid * 100 + activityId,
    time: Date.parse(record.ts),
    severity_id: severityId,
    severity,
    // A finding is new whatever became of what it was found in.
    ...(name === 'finding' ? { status_id: 1, status: 'New' } : { status_id: statusId, status }),
    status_code: record.outcome,
    message: messageOf(record),
    metadata: {
      version: schemaVersion,
      product: { name: 'orchestra', vendor_name: 'Orchestra', version: about.version },
      uid: hash,
      sequence: record.seq,
      event_code: record.type,
      log_name: about.origin,
      log_provider: 'orchestra',
      original_time: record.ts,
      ...(record.run === undefined ? {} : { correlation_uid: record.run }),
      profiles,
    },
    actor: actorOf(record),
    device: { type_id: 0, name: about.host },
    ...(controlled ? control(record) : {}),
    ...ofClass[name](record, about),
    unmapped: unmapped(record),
    raw_data: line,
    raw_data_size: Buffer.byteLength(line),
    raw_data_hash: { algorithm_id: 3, algorithm: 'SHA-256', value: digest('sha256', line, 'hex') },
  };
}

/** Where actor and device belong to the class itself; elsewhere they come with the profile `host`. */
function isOfHost(name: OcsfClass): boolean {
  return ocsfClasses[name].category === 1;
}

function messageOf({ type, stage, outcome, obj }: LogRecord): string {
  const task = obj?.['task'];
  return [type, stage === 'note' ? '' : stage, outcome === 'ok' ? '' : outcome, task ?? '']
    .filter((word) => word !== '')
    .join(' ');
}

function actorOf({ actor }: LogRecord): Fields {
  if (actor.kind !== 'user') {
    return { app_name: actor.kind === 'daemon' ? 'orchestrad' : 'task', ...processOf(actor.pid) };
  }
  return { user: userOf(actor), ...processOf(actor.pid) };
}

function processOf(pid: number | undefined): Fields {
  return pid === undefined ? {} : { process: { pid } };
}

function userOf({ name, uid }: LogRecord['actor']): Fields {
  return {
    ...(name === undefined && uid === undefined ? { name: 'unknown' } : {}),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid: `${uid}` }),
  };
}

function control({ type, outcome, data, pol }: LogRecord): Fields {
  const refused =
    outcome === 'denied' ||
    data['decision'] === 'deny' ||
    type.endsWith('.refused') ||
    type.endsWith('.rejected');
  const [actionId, action] = refused ? [2, 'Denied'] : [1, 'Allowed'];
  const [dispositionId, disposition] = refused ? [2, 'Blocked'] : [1, 'Allowed'];
  return {
    action_id: actionId,
    action,
    disposition_id: dispositionId,
    disposition,
    ...(pol === undefined ? {} : { policy: { uid: pol.hash, name: pol.rule } }),
  };
}

function unmapped({ stage, outcome, req, run, rseq, obj, prev, boot, data }: LogRecord): Fields {
  return { stage, outcome, req, run, rseq, obj, prev, boot, data };
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const whole = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined;

/** What each class asks for beyond what every event has. */
const ofClass: Readonly<Record<OcsfClass, (record: LogRecord, about: About) => Fields>> = {
  file: ({ obj, data, type }) => {
    const path = text(data['path']);
    const sha256 = text(data['sha256']) ?? sha256In(data);
    return {
      file: {
        name: text(data['name']) ?? path ?? text(data['what']) ?? obj?.['task'] ?? type,
        type_id: fileKinds[text(data['kind']) ?? ''] ?? 0,
        ...(path === undefined ? {} : { path }),
        ...(whole(data['bytes']) === undefined ? {} : { size: data['bytes'] }),
        ...(sha256 === undefined
          ? {}
          : { hashes: [{ algorithm_id: 3, algorithm: 'SHA-256', value: sha256 }] }),
      },
    };
  },
  process: ({ obj, data, run, type }) => {
    const container = obj?.['container'];
    const task = obj?.['task'];
    const image = text((data['settings'] as Fields | undefined)?.['image']);
    const exit = whole(data['exit_code']);
    return {
      process: {
        uid: container ?? ([run, task].filter((part) => part !== undefined).join('/') || type),
        ...(task === undefined ? {} : { name: task }),
        ...(container === undefined
          ? {}
          : {
              container: {
                uid: container,
                ...(image === undefined ? {} : { image: { uid: image } }),
              },
            }),
      },
      ...(exit === undefined ? {} : { exit_code: exit }),
    };
  },
  log: (_record, { origin }) => ({
    log_name: origin,
    log_provider: 'orchestra',
    log_type_id: 99,
    log_type: 'Audit',
  }),
  finding: (record) => ({
    finding_info: {
      uid: `${record.seq}`,
      title: messageOf(record),
      created_time: Date.parse(record.ts),
      types: [record.type],
    },
    ...(record.sev === 'alert' ? { is_alert: true } : {}),
  }),
  authentication: ({ actor }) => ({ user: userOf(actor), service: { name: 'orchestrad' } }),
  entity: ({ type, data, obj }) => {
    const [area = ''] = type.split('.');
    const uid = text(data[area]) ?? text(data['vkey']) ?? text(data['id']) ?? text(data['config']);
    const name =
      text(data['name']) ?? text(data['reference']) ?? text(data['component']) ?? obj?.['name'];
    return {
      entity: {
        name: name ?? area,
        ...(uid === undefined ? {} : { uid }),
        type_id: area === 'policy' ? 5 : 99,
        type: area === 'policy' ? 'Policy' : area,
      },
    };
  },
  access: ({ data, obj }) => ({
    user: { name: obj?.['task'] ?? 'task', type_id: 4 },
    privileges: Array.isArray(data['names']) ? data['names'] : [],
  }),
  lifecycle: ({ data, type }, about) => {
    const isOurs = type.startsWith('daemon.');
    return {
      app: {
        name: isOurs ? 'orchestrad' : (text(data['name']) ?? text(data['component']) ?? type),
        ...(isOurs
          ? { vendor_name: 'Orchestra', version: text(data['version']) ?? about.version }
          : text(data['version']) === undefined
            ? {}
            : { version: data['version'] }),
      },
    };
  },
  api: ({ type, data, req }) => {
    const code = text(data['code']);
    return {
      api: {
        operation: text(data['route']) ?? type,
        service: { name: 'orchestrad' },
        ...(req === undefined ? {} : { request: { uid: req } }),
        ...(code === undefined
          ? {}
          : { response: { error: code, error_message: text(data['reason']) ?? code } }),
      },
      // There is no network in between: callers come through a socket of this machine.
      src_endpoint: { svc_name: 'unix socket' },
    };
  },
  error: () => ({}),
};

const fileKinds: Readonly<Record<string, number>> = { file: 1, directory: 2 };

function sha256In(data: Fields): string | undefined {
  for (const key of ['layer', 'checkpoint', 'snapshot']) {
    const found = /^sha256:([0-9a-f]{64})$/.exec(text(data[key]) ?? '')?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}
