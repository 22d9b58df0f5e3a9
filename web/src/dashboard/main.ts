/** `/`: all federations; `/?f=ID`: one of them. */
import { Dashboard } from './dashboard';
import { FederationList } from './list';

const id = new URLSearchParams(location.search).get('f');
if (id === null || id === '') new FederationList();
else new Dashboard(id);
