// The package ships no types. It rejects with an Error or with what systemd-notify printed.
declare module 'systemd-notify' {
  interface Notification {
    ready?: true;
    status?: string;
    pid?: number;
  }
  export default function systemdNotify(notification: Notification): Promise<unknown>;
}
