/** Called with one plain sentence when something begins that may take longer than a second. */
export type Progress = (message: string) => void;
