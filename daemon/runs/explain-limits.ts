import type { Setting } from '#contract/explain.ts';
import { formatLimit, limitNames, limitWords, type Limits } from '#contract/limits.ts';
import type { RecordData } from '#contract/records.ts';
import { byFloor, byRule, type SettingFacts } from './explain-words.ts';

type Receipt = RecordData<'sandbox.receipt'>;

/** One row a limit: the policy's own value, or what the plan made of it. */
export function explainLimits(facts: SettingFacts): Setting[] {
  return limitNames.map((name) => explainLimit(name, facts));
}

function explainLimit(name: keyof Limits, facts: SettingFacts): Setting {
  const { receipt, task, policy, policyName } = facts;
  const word = limitWords[name];
  const asked = task.limits[name];
  const max = policy?.limits[name];
  const lowered = facts.clamped.find((line) => line.startsWith(`${task.id}: ${word} `));
  const narrowed = facts.narrowed.find((line) => line.startsWith(`limits.${word}: `));
  const isLess = lowered === undefined && max !== undefined && asked < max;
  const why = [
    ...(lowered === undefined ? [] : [`plan asked for more: ${afterColon(lowered)}`]),
    ...(isLess
      ? [`plan asked for less than the ${formatLimit(name, max)} of policy ${policyName}`]
      : []),
    ...(lowered === undefined && !isLess ? [`policy ${policyName}: limits.${word}`] : []),
    ...(narrowed === undefined ? [] : [`narrowed: ${afterColon(narrowed)}`]),
  ];
  return {
    name: `limits.${word}`,
    requested: formatLimit(name, asked),
    effective: effectiveLimit(name, receipt),
    decidedBy: [byRule('limits'), byFloor('limits'), ...why],
    change: isLess
      ? `\`${word}\` in the limits of the task, up to ${formatLimit(name, max)}`
      : `\`limits.${word}\` of policy ${policyName}, and of the ceiling above it; a plan can only lower it`,
  };
}

const afterColon = (line: string) => line.slice(line.indexOf(': ') + 2);

/** What the engine said, where it is the engine that holds the task to it; else who does. */
function effectiveLimit(name: keyof Limits, { settings, limits }: Receipt): string {
  const ulimit = (which: string) => {
    const found = settings.ulimits.find((one) => one.startsWith(`${which}=`));
    return Number(found?.split(':')[1] ?? 0);
  };
  switch (name) {
    case 'cpuMilli':
      return formatLimit(name, settings.cpu_milli);
    case 'memoryBytes': {
      const swap = settings.memory_swap_bytes - settings.memory_bytes;
      const rest = swap === 0 ? 'no swap' : `${formatLimit(name, swap)} of swap`;
      return `${formatLimit(name, settings.memory_bytes)}, ${rest}`;
    }
    case 'pids':
      return formatLimit(name, settings.pids);
    case 'openFiles':
      return formatLimit(name, ulimit('nofile'));
    case 'fileSizeBytes':
      return formatLimit(name, ulimit('fsize'));
    case 'tmpBytes':
      return `${formatLimit(name, limits.tmp_bytes)} by its mount`;
    case 'diskBytes':
      return watched(name, limits.disk_bytes);
    case 'diskFiles':
      return watched(name, limits.disk_files);
    case 'outputBytes':
      return watched(name, limits.output_bytes);
    case 'timeoutMs':
      return watched(name, limits.timeout_ms);
    case 'idleMs':
      return watched(name, limits.idle_ms);
  }
}

function watched(name: keyof Limits, value: number | undefined): string {
  return value === undefined ? 'none' : `${formatLimit(name, value)}, watched by the daemon`;
}
