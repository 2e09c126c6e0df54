export { ActionHistory, ActionHistory as Actions } from './action-history.ts';
