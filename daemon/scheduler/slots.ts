import { Capacity } from './capacity.ts';

/** A machine of which only the number of tasks at once is counted. */
export class Slots extends Capacity {
  constructor(limit: number, waitersMax?: number) {
    super({ tasks: limit }, waitersMax);
  }
}
